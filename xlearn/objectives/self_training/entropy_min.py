"""Entropy minimisation: confident predictions on unlabelled examples."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class EntropyMin(Objective):
    """`weight * (mean_i H(p_i) - diversity * H(mean_i p_i))` on the unlabelled batch, `H(p) = -sum_c p_c log p_c` in nats,
    p = softmax of the logits (Grandvalet & Bengio, NIPS 2004, for the first term).

    The second term keeps all classes in use; with `diversity=1` both terms are minus the mutual information of input and class
    (information maximisation: Krause et al., NIPS 2010). Added to the source's cross-entropy, or the only objective; then no
    target labels are used.

    Raises: `Problem` for a weight or a diversity below 0, and without unlabelled target examples.
    """

    needs = Needs(labels=False, unlabeled=True)

    def __init__(self, context: PhaseContext, *, weight: float = 0.1, diversity: float = 0.0) -> None:
        need_domains(context, "entropy_min", source=False)
        if weight < 0:
            raise Problem(f"entropy_min: weight={weight}: give 0 or more, e.g. 0.1.")
        if diversity < 0:
            raise Problem(f"entropy_min: diversity={diversity}: give 0 or more, e.g. 1.")
        self.weight, self.diversity = weight, diversity

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        logits = classify(network, batches, network.features(batches[UNLABELED]))
        return {"entropy_min": self.weight * information_loss(logits, self.diversity)}


def information_loss(logits: Tensor, diversity: float) -> Tensor:
    """`mean_i H(p_i) - diversity * H(mean_i p_i)`, `p_i = softmax(logits_i)`."""
    with torch.autocast(logits.device.type, enabled=False):
        logs = logits.float().log_softmax(1)
        loss = entropy(logs).mean()
        # Log of the mean by logsumexp, so that a class of probability 0 adds 0 and has a finite gradient.
        return loss if diversity == 0 else loss - diversity * entropy(logs.logsumexp(0) - math.log(len(logs)))


def entropy(logs: Tensor) -> Tensor:
    """`-sum_c p_c log p_c` over the last dimension, of logarithms of probabilities."""
    return -(logs.exp() * logs).sum(-1)
