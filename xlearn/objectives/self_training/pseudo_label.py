"""Pseudo-labels: confident predictions on unlabelled examples serve as labels."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.objectives.self_training.pseudo_labels import confident
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class PseudoLabel(Objective, nn.Module):
    """`weight * a(t) * 1/n sum_i 1[max p_i >= threshold] CE(z_i, argmax p_i)` on the n unlabelled examples of the batch, added
    to the cross-entropy of the labelled ones (Lee, ICML workshop 2013, eq. 15-16).

    `a(t) = min(1, t / (ramp * steps))` grows with the number of steps t; `ramp=0`: constant 1. The paper has no threshold (0
    here), and starts the ramp after 100 epochs. Label and prediction come from the same pass, in training mode.

    Raises: `Problem` for a weight below 0, a threshold or a ramp outside [0, 1], and without unlabelled target examples.
    """

    needs = Needs(labels=False, unlabeled=True)

    step: Tensor

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, threshold: float = 0.9, ramp: float = 0.5) -> None:
        super().__init__()
        need_domains(context, "pseudo_label", source=False)
        need_threshold("pseudo_label", weight, threshold)
        if not 0 <= ramp <= 1:
            raise Problem(f"pseudo_label: ramp={ramp}: give a share of the steps in [0, 1], e.g. 0.5.")
        self.weight, self.threshold = weight, threshold
        self.until = ramp * context.steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        logits = classify(network, batches, network.features(batches[UNLABELED]))
        grown = (self.step / self.until).clamp_max(1) if self.until > 0 else 1.0
        return {"pseudo_label": self.weight * grown * on_confident(logits, *confident(logits, self.threshold))}

    def follow(self, network: Network) -> None:
        self.step += 1


def need_threshold(name: str, weight: float, threshold: float) -> None:
    """Raise `Problem` for a weight below 0 and a threshold outside [0, 1]."""
    if weight < 0:
        raise Problem(f"{name}: weight={weight}: give 0 or more, e.g. 1.")
    if not 0 <= threshold <= 1:
        raise Problem(f"{name}: threshold={threshold}: give a probability in [0, 1], e.g. 0.9.")


def on_confident(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """`1/n sum_i mask_i CE(logits_i, labels_i)`: the mean over all n examples, confident or not."""
    with torch.autocast(logits.device.type, enabled=False):
        return (functional.cross_entropy(logits.float(), labels, reduction="none") * mask).mean()
