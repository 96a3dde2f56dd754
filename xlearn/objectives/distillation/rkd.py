"""RKD: relational distillation of the distances and angles between examples."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.match import Match, features_or_modules
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class Rkd(Objective):
    """`distance * L_D + angle * L_A` on every role that the teacher can read (Park et al., CVPR 2019, eq. 5 to 10), among the
    examples of the batch with a modality of the teacher.

    `L_D`: the Huber loss (smooth L1, delta 1) of `||e_i - e_j|| / mu` between student and teacher, mu the mean of the distances
    above 0. `L_A`: that of `cos(e_j - e_i, e_k - e_i)`. Means are over all pairs and all triples of n examples, n^2 and n^3,
    including equal indices, as in the authors' code. Embeddings e are the features below the heads, or the flattened outputs
    (with padding) of the modules `student` and `teacher`; their widths may differ. Fewer than three examples have no angles. A
    step needs memory for n^2 times the width and for n^3 numbers.

    Raises: `Problem` for weights below 0, without exactly one teacher, and for a path that does not exist or is never called.
    """

    needs = replace(NO_LABELS, below_heads=True)

    @classmethod
    def needed(cls, *, student: str | None = None, teacher: str | None = None, **others: Any) -> Needs:
        return features_or_modules(student, teacher)

    def __init__(
        self,
        context: PhaseContext,
        *,
        distance: float = 2.5,
        angle: float = 5.0,
        student: str | None = None,
        teacher: str | None = None,
    ) -> None:
        for name, value in (("distance", distance), ("angle", angle)):
            if value < 0:
                raise Problem(f"rkd: {name}={value}: give 0 or more; the paper has distance=25, angle=50.")
        self.match = Match(context, "rkd", [(student, teacher)])
        self.distance, self.angle = distance, angle

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            for own, given, seen in self.match(network, batch):
                one, other = own.flatten(1)[seen], given.flatten(1)[seen]
                losses[f"{role}_rkd"] = relations(one, other, self.distance, self.angle)
        return losses


def relations(student: Tensor, teacher: Tensor, distance: float, angle: float) -> Tensor:
    """`distance * L_D + angle * L_A` of embeddings `[n, any width]`; 0 for n = 0."""
    if len(student) == 0:
        return student.sum()
    with torch.autocast(student.device.type, enabled=False):
        (far, cosines), (taught_far, taught_cosines) = _relations(student.float()), _relations(teacher.float())
        apart = functional.smooth_l1_loss(far, taught_far)
        return distance * apart + angle * functional.smooth_l1_loss(cosines, taught_cosines)


def _relations(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """The distances divided by their mean `[n, n]`, and the cosines `[n, n, n]` at the first example."""
    # Differences, not inner products, which lose the precision of small distances.
    steps = embeddings.unsqueeze(0) - embeddings.unsqueeze(1)
    far = steps.norm(dim=2)
    mean = far.sum() / (far > 0).sum().clamp_min(1)
    units = functional.normalize(steps, dim=2)
    return far / mean.clamp_min(1e-12), units @ units.transpose(1, 2)
