"""Logit adjustment and Balanced Softmax: class frequencies added to the logits in training."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.means import log_probabilities, mean_by_label
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

# The count of a class without examples: log 0 would give NaN with a soft label 0 or tau 0.
SMALLEST = 1e-12


class LogitAdjustment(Objective, nn.Module):
    """`CE(y, z + tau log pi)` per role, the mean over the examples of the batch with a label for it, `pi_c = n_c / n` the share
    of class c among the role's training examples (Menon et al., ICLR 2021, eq. 10). Mixed labels q: `sum_c q_c` of the same.

    At test time the logits are z, without the adjustment: predictions are as for equally frequent classes. tau 1 is consistent
    for the balanced error, and is Balanced Softmax, `-log(n_y exp z_y / sum_c n_c exp z_c)` (Ren et al., NeurIPS 2020, eq. 4);
    tau 0 is cross-entropy. For a class without examples n_c is set to 1e-12: with tau 1 its probability in training is near 0,
    so nearly nothing is learned of it. Raises `Problem` for a tau below 0.
    """

    @classmethod
    def needed(cls, *, tau: float = 1.0, **others: Any) -> Needs:
        return Needs(spaces=(Classes,), class_shares=tau != 0)

    def __init__(self, context: PhaseContext, *, tau: float = 1.0) -> None:
        super().__init__()
        if not tau >= 0:
            raise Problem(f"objective.tau={tau}: give 0 (cross-entropy) or more, e.g. 1 (balanced softmax).")
        self.places = {role: place for place, role in enumerate(context.class_counts)}
        for role, counts in context.class_counts.items():
            # log n_c instead of log pi_c: a constant on all logits changes no probability. By position: names of buffers cannot
            # have dots.
            self.register_buffer(f"prior_{self.places[role]}", tau * counts.float().clamp_min(SMALLEST).log())

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {
            role: mean_by_label(-log_probabilities(network(batch) + self.prior(role)), batch.labels)
            for role, batch in batches.items()
        }

    def prior(self, role: str) -> Tensor:
        """`tau log n_c`, `float [K]`, of a role."""
        return self.get_buffer(f"prior_{self.places[role]}")
