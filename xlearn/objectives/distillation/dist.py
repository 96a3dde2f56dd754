"""DIST: match the correlations of the teacher's predictions, within an example and within a class."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.teaching import by_logits, need_mixture, need_teacher, only_target
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Dist(Objective):
    """`(1 - w) CE(y, z_s)` on the target, plus `w tau^2 [beta (1 - rho_inter) + gamma (1 - rho_intra)]` on every role that the
    teacher can read (Huang et al., NeurIPS 2022).

    rho is Pearson's correlation of `softmax(z_s / tau)` and `softmax(z_t / tau)`: rho_inter between the classes of an example,
    mean over examples; rho_intra between the examples of a class's column, mean over classes. Both are over the examples of the
    batch that have a modality of the teacher; a single one leaves rho_intra 0, and two classes leave rho_inter 1 or -1.

    w is `weight`, tau `temperature`. The paper's sum `CE + beta (1 - rho_inter) + gamma (1 - rho_intra)` is twice this one at
    w = 0.5.

    Raises: `Problem` for a weight outside [0, 1], a temperature not above 0, beta or gamma below 0, and without exactly one
    teacher.
    """

    needs = Needs(teacher=frozenset({"logits"}), spaces=(Classes,))

    @classmethod
    def labelled(cls, roles: Sequence[str], /, **arguments: Any) -> list[str]:
        return only_target(roles)

    def __init__(
        self, context: PhaseContext, *, temperature: float = 1.0, weight: float = 0.5, beta: float = 1.0, gamma: float = 1.0
    ) -> None:
        need_mixture("dist", temperature, weight)
        for name, value in (("beta", beta), ("gamma", gamma)):
            if value < 0:
                raise Problem(f"dist: {name}={value}: give 0 or more, e.g. 1.")
        self.teachers = (need_teacher(context, "dist"),)
        self.temperature, self.weight, self.beta, self.gamma = temperature, weight, beta, gamma

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return by_logits(network, batches, self.teachers, self.weight, self._term)

    def _term(self, logits: Tensor, taught: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        rows = seen[:, 0]
        if not bool(rows.any()):
            return logits.sum() * 0
        one, other = ((each[rows] / self.temperature).softmax(1) for each in (logits, taught[:, 0]))
        inter, intra = correlation(one, other).mean(), correlation(one.T, other.T).mean()
        return self.temperature**2 * (self.beta * (1 - inter) + self.gamma * (1 - intra))


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of each row, `[n]` of `[n, m]`; 0 for a constant row."""
    one, other = (each - each.mean(1, keepdim=True) for each in (one, other))
    return functional.cosine_similarity(one, other, dim=1)
