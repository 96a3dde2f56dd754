"""Mean teacher: consistency with the moving average of the network."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.objectives.parts.evaluating import evaluating
from xlearn.objectives.parts.moving_average import MovingAverage
from xlearn.objectives.parts.weak_strong import need_views, strong, weak
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class MeanTeacher(Objective, nn.Module):
    """`weight * a(t) * mean_{i,c} (p_ic - q_ic)^2` on the unlabelled batch: p is the student's softmax on the strong view, q
    the teacher's on the weak one, without gradient; added to the cross-entropy (Tarvainen & Valpola, NIPS 2017, eq. 1).

    The teacher's weights are `w' = d w' + (1 - d) w` after step t (from 0), `d = min(1 - 1 / (t + 1), decay)` as in the
    authors' code, with averaged running statistics; the teacher is in evaluation mode (the authors: training mode).
    `a(t) = exp(-5 (1 - min(1, t / (ramp * steps)))^2)`, their sigmoid-shaped ramp-up (`ramp=0`: constant 1). The run evaluates
    the student; the paper reports the teacher. The mean over classes is that of the authors' code.

    Raises: `Problem` for a weight below 0, a decay outside [0, 1), a ramp outside [0, 1], without unlabelled target examples,
    and for texts of a tokeniser with another unknown token.
    """

    needs = Needs(labels=False, unlabeled=True)

    step: Tensor

    def __init__(self, context: PhaseContext, *, weight: float = 10.0, decay: float = 0.99, ramp: float = 0.3) -> None:
        super().__init__()
        need_domains(context, "mean_teacher", source=False)
        need_views(context, "mean_teacher")
        if weight < 0:
            raise Problem(f"mean_teacher: weight={weight}: give 0 or more, e.g. 10.")
        if not 0 <= decay < 1:
            raise Problem(f"mean_teacher: decay={decay}: give a share in [0, 1), e.g. 0.99.")
        if not 0 <= ramp <= 1:
            raise Problem(f"mean_teacher: ramp={ramp}: give a share of the steps in [0, 1], e.g. 0.3.")
        self.weight, self.decay, self.until = weight, decay, ramp * context.steps
        self.average = MovingAverage(context.network)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def teacher(self) -> dict[str, Tensor]:
        """The teacher's weights by their names in the network."""
        return self.average.weights()

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        batch = batches[UNLABELED]
        with evaluating(network):
            taught = self.average(network, weak(batch)).float()
        logits = classify(network, batches, network.features(strong(batch)))
        with torch.autocast(logits.device.type, enabled=False):
            distance = (logits.softmax(1) - taught.softmax(1)).square().mean()
            grown = (-5 * (1 - (self.step / self.until).clamp_max(1)).square()).exp() if self.until > 0 else 1.0
            return {"mean_teacher": self.weight * grown * distance}

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        self.average.follow(network, (1 - 1 / (self.step + 1)).clamp_max(self.decay))
        self.step += 1
