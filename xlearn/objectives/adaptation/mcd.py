"""MCD: two heads maximise their discrepancy on the target, and the features minimise it."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import ExtraUpdate, Objective, PhaseContext
from xlearn.objectives.adaptation.gradient_reversal import held
from xlearn.objectives.parts.domains import need_domains
from xlearn.objectives.parts.layers import second_head
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Mcd(Objective, nn.Module):
    """Two heads h1 (the network's) and h2 (added) on the encoder f (MCD; Saito et al., CVPR 2018). With `d = E_t 1/K sum_k
    |p1_k - p2_k|` on the unlabelled target, and the cross-entropy CE on all labelled roles, each step updates

        A  f, h1, h2:  CE(h1 f) + CE(h2 f)                  (CE(h1 f) is the phase's objective)
        B  h1, h2:     CE(h1 f) + CE(h2 f) - weight d
        C  f:          weight d, `generator_steps` times

    Both heads are linear; h2 is initialised with h1 plus random weights (the authors start from random heads and a random f;
    here f and h1 are trained on the source, and a random h2 would destroy them). Each update has the phase's optimizer with a
    separate state (the authors: one for f, one for both heads). In B the encoder is frozen and in evaluation mode (no dropout,
    fixed batch norm statistics). CE is the plain cross-entropy, the mean over a role's examples: an objective with class
    weights, label smoothing or an adjustment is refused, because both heads must minimise the same loss. TLlib's script adds,
    in A and B, 0.01 times `-1/K sum_k log mean_i p_ik` of both heads, against empty classes: not used here. Only h1 predicts;
    the authors add both heads, TLlib's script reports the better one.

    Raises: `Problem` for a negative weight, generator_steps below 1, and without both domains.
    """

    needs = Needs(labels=False, unlabeled=True, plain_loss=True)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, generator_steps: int = 1) -> None:
        super().__init__()
        if weight < 0:
            raise Problem(f"mcd: weight={weight}: give 0 or more, e.g. 1.")
        if generator_steps < 1:
            raise Problem(f"mcd: generator_steps={generator_steps}: give 1 or more, e.g. 2.")
        self.weight, self.generator_steps = weight, generator_steps
        need_domains(context, "mcd")
        self.head = second_head(context.network, context.tasks[UNLABELED].labels.key, "mcd", apart=1.0)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        given = [(network.features(batch).float(), batch) for role, batch in batches.items() if role != UNLABELED]
        with torch.autocast(given[0][0].device.type, enabled=False):
            losses = [functional.cross_entropy(self.head(features), batch.labels) for features, batch in given]
            return {"mcd_head": torch.stack(losses).sum()}

    def extra_updates(self) -> list[ExtraUpdate]:
        numbers = range(1, self.generator_steps + 1)
        together = [
            ExtraUpdate(partial(self._together, number), lambda name: not name.startswith("head.")) for number in numbers
        ]
        return [ExtraUpdate(self._apart, lambda name: name.startswith("head."), own=[self.head]), *together]

    def _apart(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        given = [(network.features(batch).detach().float(), batch) for batch in batches.values()]
        device = given[0][0].device.type
        with torch.autocast(device, enabled=False):
            labelled, predictions = [], []
            for features, batch in given:
                logits = [network.head[batch.space.key](features), self.head(features)]
                if batch is batches[UNLABELED]:
                    predictions = logits
                else:
                    labelled += [functional.cross_entropy(each, batch.labels) for each in logits]
            apart = -self.weight * discrepancy(*predictions)
            return {"mcd_classifiers_source": torch.stack(labelled).sum(), "mcd_classifiers_apart": apart}

    def _together(self, number: int, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        batch = batches[UNLABELED]
        features = network.features(batch).float()
        with torch.autocast(features.device.type, enabled=False):
            one, other = held(network.head[batch.space.key], features), held(self.head, features)
            return {f"mcd_together_{number}": self.weight * discrepancy(one, other)}


def discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """`mean |softmax(one) - softmax(other)|` over examples and classes, of logits `[n, classes]`."""
    return (functional.softmax(one, dim=1) - functional.softmax(other, dim=1)).abs().mean()
