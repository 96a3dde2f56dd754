"""Distillation: the source's network teaches by its predictions."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.errors import Problem
from xlearn.network import Network
from xlearn.objectives import Start
from xlearn.task import Batch


class Distillation:
    """`(1 - w) CE(y, z_s)` on the target, plus `w tau^2 KL(softmax(z_t / tau) || softmax(z_s / tau))` wherever the teacher
    sees something (Hinton et al., 2015); means over the batch, the second over the examples with a modality of the teacher.

    w is `weight`, tau is `temperature`; the second term is scaled by tau^2 whatever w is, so that its gradient keeps its
    size. The teacher z_t reads the modalities that it has of an example, the student z_s its own: over pairs the teacher
    may know one modality and the student another. The source's labels are not used; what the teacher predicts there is.
    The teacher evaluates, and gets no gradient. Raises `Problem` for a weight outside [0, 1] and a temperature not above 0,
    and where no batch has a modality of the teacher.
    """

    reads_inputs = True

    def __init__(self, start: Start, *, temperature: float = 4.0, weight: float = 0.9) -> None:
        if not temperature > 0:
            raise Problem(f"distillation: temperature={temperature}: give more than 0, e.g. 4.")
        if not 0 <= weight <= 1:
            raise Problem(f"distillation: weight={weight}: give a share in [0, 1].")
        if start.teacher is None:
            raise Problem("distillation needs a teacher: use it in a transfer with `teaches: true`, such as transfer=distill.")
        self.temperature, self.weight, self.teacher = temperature, weight, start.teacher

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            logits = network(batch)
            if role == "target":
                losses[f"{role}_labels"] = (1 - self.weight) * functional.cross_entropy(logits, batch.labels)
            if (taught := self._taught(batch)) is not None:
                found = distillation(logits, taught, self.temperature)
                losses[f"{role}_teacher"] = self.weight * _mean(found, self._sees(batch))
        if not any(name.endswith("_teacher") for name in losses):
            modalities = " and ".join(self.teacher.encoder)
            raise Problem(f"distillation: the teacher reads {modalities}, which no task has. Choose a source of pairs.")
        return losses

    def _taught(self, batch: Batch) -> Tensor | None:
        if batch.features is not None or not batch.inputs.keys() & self.teacher.encoder.keys():
            return None
        self.teacher.eval()
        with torch.no_grad():
            return self.teacher(batch)

    def _sees(self, batch: Batch) -> Tensor | None:
        """`bool [batch]`: which examples have any modality of the teacher (None: all)."""
        names = batch.inputs.keys() & self.teacher.encoder.keys()
        if any(name not in batch.present for name in names):
            return None
        seen = torch.stack([batch.present[name] for name in names]).any(0)
        return seen if batch.rows is None else seen[batch.rows]


def _mean(values: Tensor, there: Tensor | None) -> Tensor:
    return values.mean() if there is None else (values * there).sum() / there.sum().clamp_min(1)


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`tau^2 KL(softmax(teacher / tau) || softmax(student / tau))`, `[batch]` of logits `[batch, classes]`."""
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
