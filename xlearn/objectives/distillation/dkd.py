"""DKD: distillation with separate weights for the label's probability and for the distribution over the other classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.teaching import by_logits, mean, need_mixture, need_teacher, only_target
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Dkd(Objective):
    """`(1 - w) CE(y, z_s)` on the target, plus `w tau^2 (alpha TCKD + beta NCKD)` on every role that the teacher can read (Zhao
    et al., CVPR 2022, eq. 7): the first is the mean over the batch's examples, without class weights or smoothing, the second
    the mean over those with a modality of the teacher.

    `TCKD = KL(b_t || b_s)`, b the two probabilities of the label's class and of all others; `NCKD = KL(q_t || q_s)`, q the
    probabilities of the others among themselves; all of logits divided by tau. With alpha = 1 and beta one minus the teacher's
    probability of the label's class this is `kd`. On the source, its labels are used here only; of mixed labels the heavier
    class. w is `weight`, tau `temperature`. The paper's sum `CE + alpha TCKD + beta NCKD` is twice this one at w = 0.5; its
    warm-up of the second term is left out.

    Raises: `Problem` for a weight outside [0, 1], a temperature not above 0, alpha or beta below 0, without exactly one
    teacher, and for a task with a single class.
    """

    needs = Needs(teacher=frozenset({"logits"}), spaces=(Classes,))

    @classmethod
    def labelled(cls, roles: Sequence[str], /, **arguments: Any) -> list[str]:
        return only_target(roles)

    def __init__(
        self, context: PhaseContext, *, temperature: float = 4.0, weight: float = 0.5, alpha: float = 1.0, beta: float = 2.0
    ) -> None:
        need_mixture("dkd", temperature, weight)
        for name, value in (("alpha", alpha), ("beta", beta)):
            if value < 0:
                raise Problem(f"dkd: {name}={value}: give 0 or more; the paper has alpha=1, beta=8.")
        if single := [role for role, counts in context.class_counts.items() if len(counts) < 2]:
            raise Problem(f"dkd: {single[0]} has a single class, but DKD needs other classes. Use transfer=kd.")
        self.teachers = (need_teacher(context, "dkd"),)
        self.temperature, self.weight, self.alpha, self.beta = temperature, weight, alpha, beta

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return by_logits(network, batches, self.teachers, self.weight, self._term)

    def _term(self, logits: Tensor, taught: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        classes = labels.argmax(1) if labels.is_floating_point() else labels
        own, others = decoupled(logits, taught[:, 0], classes, self.temperature)
        return self.temperature**2 * mean(self.alpha * own + self.beta * others, seen[:, 0])


def decoupled(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(TCKD, NCKD), each `[batch]`, without the factor tau^2, of logits `[batch, classes]`."""
    one, other = _parts(student / temperature, classes), _parts(teacher / temperature, classes)
    own, others = (
        functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
        for log_student, log_teacher in zip(one, other, strict=True)
    )
    return own, others


def _parts(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of b `[batch, 2]` and q `[batch, classes - 1]`."""
    log_p = logits.log_softmax(1)
    places = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = log_p.gather(1, places + (places >= classes.unsqueeze(1)))
    rest = others.logsumexp(1, keepdim=True)
    return torch.cat([log_p.gather(1, classes.unsqueeze(1)), rest], 1), others - rest
