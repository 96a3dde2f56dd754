"""FitNets: match the teacher's features by the student's, through a learned regressor."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.match import Match, features_or_modules, pooled
from xlearn.objectives.distillation.teaching import mean
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.parts.probe import described
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class FitNets(Objective, nn.Module):
    """`weight * ||r(f_s) - f_t||^2 / elements` on every role that the teacher can read (Romero et al., ICLR 2015, eq. 3): the
    mean over the elements of an example, then over the examples with a modality of the teacher. (The paper: half of the sum.)

    r is a linear map of channels, trained with the phase and then dropped: for maps a 1 x 1 convolution (the paper's kernel is
    larger, to match the sizes). The larger of two maps, or the longer of two sequences, is pooled to the other's size (adaptive
    average). Padding positions are included, because modules have no mask. The paper trains hints in a first stage; here they
    are a penalty added to the label loss. Tian et al. (ICLR 2020) have the weight 100 for means; small students do not learn
    with it.
    `student`, `teacher`: paths of modules, e.g. `encoder.image.blocks.1`; null: the features below the heads.

    Raises: `Problem` for a weight below 0, without exactly one teacher, for a path that does not exist or is never called, and
    for outputs of different kinds (a vector and maps).
    """

    needs = replace(NO_LABELS, below_heads=True)

    @classmethod
    def needed(cls, *, student: str | None = None, teacher: str | None = None, **others: Any) -> Needs:
        return features_or_modules(student, teacher)

    def __init__(
        self, context: PhaseContext, *, weight: float = 0.01, student: str | None = None, teacher: str | None = None
    ) -> None:
        super().__init__()
        if weight < 0:
            raise Problem(f"fitnets: weight={weight}: give 0 or more, e.g. 0.01.")
        # `Match` has the teacher and is no module: a registered module would be trained.
        self.match = Match(context, "fitnets", [(student, teacher)])
        [(own, given)] = self.match.shapes
        if len(own) != len(given):
            raise Problem(
                f"fitnets: student={student} outputs {described(own)}, teacher={teacher} {described(given)}. "
                "Name modules of one kind."
            )
        self.weight = weight
        self.regressor = linear(own[0], given[0], context.network, "fitnets")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            for own, given, seen in self.match(network, batch):
                own, given = pooled(own, given)
                made = self.regressor(own.movedim(1, -1)).movedim(-1, 1)
                error = (made.float() - given.float()).square().flatten(1).mean(1)
                losses[f"{role}_fitnets"] = self.weight * mean(error, seen)
        return losses
