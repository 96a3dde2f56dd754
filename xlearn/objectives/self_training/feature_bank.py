"""A bank of features and predictions of all unlabelled training examples, refreshed at intervals."""

import torch
from torch import Tensor, nn

from xlearn.data.task import Examples
from xlearn.networks.network import Network
from xlearn.objectives.parts.evaluating import evaluating
from xlearn.runtime.randomness import random_state, set_random_state

BATCH = 256


class FeatureBank(nn.Module):
    """`features float [n, width]` and `probabilities float [n, classes]` of `examples`, by the network at the last refresh; row
    i is the example with `taught["position"] == i` in its batch. Zeros before the first refresh.

    The owner calls `refresh(network)` in a step if `due()`, and `follow()` after each step. Due are the first step and every
    `every`-th after it. Contents and step count are saved and resumed with the phase.
    """

    features: Tensor
    probabilities: Tensor
    step: Tensor

    def __init__(self, examples: Examples, width: int, *, every: int) -> None:
        super().__init__()
        self.examples, self.every = examples, every
        self.register_buffer("features", torch.zeros(len(examples), width))
        self.register_buffer("probabilities", torch.zeros(len(examples), len(examples.space.classes)))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        # The step count as a Python number, to avoid a GPU synchronisation in every step, and the step of the last refresh.
        self._count: int | None = None
        self._done: int | None = None
        self.register_load_state_dict_post_hook(_forget)

    def due(self) -> bool:
        if self._count is None:
            self._count = int(self.step)
        return self._count % self.every == 0 and self._done != self._count

    def follow(self) -> None:
        self.step += 1
        self._count = None if self._count is None else self._count + 1

    def refresh(self, network: Network) -> None:
        """Compute the bank in evaluation mode; then modes, statistics, random state and memos are restored."""
        state, lengths = random_state(), self.examples.lengths()
        order = torch.arange(len(self.examples)) if lengths is None else lengths.argsort(stable=True)
        with torch.no_grad(), evaluating(network):
            for positions in order.split(BATCH):
                batch = self.examples.take(positions).to(self.features.device)
                with network.serving(batch):
                    features = network.features(batch)
                    logits = network.head[batch.space.key](features)
                places = positions.to(self.features.device)
                self.features[places] = features.float()
                self.probabilities[places] = logits.float().softmax(1)
        # Weights cast by autocast without gradient must not be reused in the step.
        torch.clear_autocast_cache()
        set_random_state(state)
        self._done = self._count


def _forget(bank: nn.Module, _: object) -> None:
    assert isinstance(bank, FeatureBank)
    bank._count = bank._done = None
