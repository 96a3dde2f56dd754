"""What a network predicts for many examples, as far as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Examples
from xlearn.label_spaces import LabelSpace
from xlearn.networks.evaluate import over
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine

# The most numbers of outputs that are kept, 256 MiB in float32: of 67,000 examples at 1,000 classes.
LARGEST = 2**26


@dataclass(frozen=True)
class Predictions:
    """`tensors`, by name `[n, ...]` on the CPU: the outputs as `logits`, or what the label space's metrics need of them where
    they are more than `LARGEST` numbers. `labels [n, ...]`.
    """

    space: LabelSpace
    labels: Tensor
    tensors: Mapping[str, Tensor]

    def measure(self) -> dict[str, Any]:
        """All metrics, as the label space's `measure`."""
        if "logits" in self.tensors:
            return self.space.measure(self.tensors["logits"], self.labels)
        return self.space.measure_reduced(self.tensors, self.labels)

    def score(self, metric: str) -> float:
        """One metric, for selection while training."""
        if "logits" in self.tensors:
            return self.space.score(metric, self.tensors["logits"], self.labels)
        return float(self.measure()[metric])

    def correct(self) -> Tensor | None:
        """As the label space's `correct`."""
        if "logits" in self.tensors:
            return self.space.correct(self.tensors["logits"], self.labels)
        return self.space.correct_reduced(self.tensors, self.labels)


def predict(network: Network, examples: Examples, machine: Machine) -> Predictions:
    """The predictions of the network on the examples, in evaluation mode. n > 0."""
    space, labels = examples.space, examples.labels
    whole = len(examples) * space.width <= LARGEST
    # Written in place: small parts between the large blocks of the next batches would fragment the memory, by gigabytes.
    tensors: dict[str, Tensor] = {}
    for positions, given in over(network, examples, machine, network):
        given = given.float().cpu()
        with torch.inference_mode():
            found = {"logits": given} if whole else space.reduced(given, labels[positions])
        for name, part in found.items():
            if name not in tensors:
                tensors[name] = torch.empty(len(examples), *part.shape[1:], dtype=part.dtype)
            tensors[name][positions] = part
    return Predictions(space, labels, tensors)
