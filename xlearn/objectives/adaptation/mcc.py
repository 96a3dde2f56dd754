"""MCC: minimum class confusion of the target's predictions."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Mcc(Objective):
    """`weight * 1/K sum_{j != j'} C~_jj'` of the target's predictions `p = softmax(z / T) [batch, K]` (Jin et al., ECCV 2020):
    `C = p^T diag(w) p [K, K]`, `C~` its rows divided by their sums, `w_i = n (1 + exp(-H(p_i))) / sum_l (1 + exp(-H(p_l)))`.

    The weights w pass no gradient, as in TLlib and the authors' code; in skada they do. `temperature` T is 2.5, the default of
    TLlib's script (which has 2 and 3 for two data sets; skada: 1). A class with probability 0 for all examples counts as not
    confused. It reads no source, so a phase with `reads: [target, target.unlabeled]` can use it.

    Raises: `Problem` for a weight below 0, a temperature not above 0, and without unlabelled target examples.
    """

    needs = Needs(labels=False, unlabeled=True)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, temperature: float = 2.5) -> None:
        need_domains(context, "mcc", source=False)
        if weight < 0:
            raise Problem(f"mcc: weight={weight}: give 0 or more, e.g. 1.0.")
        if temperature <= 0:
            raise Problem(f"mcc: temperature={temperature}: give more than 0, e.g. 2.5.")
        self.weight, self.temperature = weight, temperature

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        features = network.features(batches[UNLABELED]).float()
        with torch.autocast(features.device.type, enabled=False):
            logits = classify(network, batches, features)
            return {"mcc": self.weight * confusion(logits, self.temperature)}


def confusion(logits: Tensor, temperature: float) -> Tensor:
    """`1/K sum_{j != j'} C~_jj'` of logits `[n, K]`, from 0 (every prediction is certain) to 1 - 1/K."""
    log_shares = functional.log_softmax(logits / temperature, dim=1)
    shares = log_shares.exp()
    entropies = -(shares * log_shares).sum(1).detach()
    certain = 1 + torch.exp(-entropies)
    weights = len(logits) * certain / certain.sum()
    correlation = shares.T @ (weights.unsqueeze(1) * shares)
    # A class without any probability would be 0 / 0.
    rows = correlation / correlation.sum(1, keepdim=True).clamp_min(1e-8)
    return (rows.sum() - rows.diagonal().sum()) / logits.shape[1]
