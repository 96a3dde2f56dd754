"""Logit adjustment and Balanced Softmax: class frequencies added to the logits in training."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

# The count of a class without examples: log 0 would give NaN with a soft label 0 or tau 0.
SMALLEST = 1e-12


class LogitAdjustment(Objective, nn.Module):
    """`CE(y, z + tau log pi)` per role, `pi_c = n_c / n` the share of class c among the labelled training examples (Menon et
    al., ICLR 2021, eq. 10).

    At test time the logits are z, without the adjustment: predictions are as for equally frequent classes. tau 1 is consistent
    for the balanced error, and is Balanced Softmax, `-log(n_y exp z_y / sum_c n_c exp z_c)` (Ren et al., NeurIPS 2020, eq. 4);
    tau 0 is cross-entropy. A class without examples has probability 0 in training (n_c is set to 1e-12), so nothing is learned
    of it. Raises `Problem` for a tau below 0.
    """

    needs = Needs(spaces=(Classes,))

    def __init__(self, context: PhaseContext, *, tau: float = 1.0) -> None:
        super().__init__()
        if not tau >= 0:
            raise Problem(f"objective.tau={tau}: give 0 (cross-entropy) or more, e.g. 1 (balanced softmax).")
        for role, counts in context.class_counts.items():
            # log n_c instead of log pi_c: a constant on all logits changes no probability.
            self.register_buffer(f"prior_{role}", tau * counts.float().clamp_min(SMALLEST).log())

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {
            role: functional.cross_entropy(network(batch) + self.get_buffer(f"prior_{role}"), batch.labels)
            for role, batch in batches.items()
        }
