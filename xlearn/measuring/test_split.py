"""Measurement on the examples of a test split."""

from collections.abc import Sequence
from typing import Any

import torch

from xlearn.data.task import Examples, Task
from xlearn.measuring import Asked, Measured, Measuring
from xlearn.measuring.cached_logits import predictions
from xlearn.measuring.cost import cost
from xlearn.networks.network import Network
from xlearn.networks.predictions import predict
from xlearn.phases.encoder_cache import encode


class TestSplit(Measuring):
    """The metrics of the predictions on the test split."""

    def __call__(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> Measured:
        # Pretrained encoders that no phase trained encode a data set once for all runs.
        encoded = encode(network, examples, still, asked.machine)
        found = (predictions if asked.cached else predict)(network, encoded, asked.machine)
        tensors = {**found.tensors, "labels": examples.labels, "rows": examples.rows}
        correct = found.correct()
        return Measured(found.measure(), tensors, {} if correct is None else {"correct": correct})

    def cost(self, network: Network, task: Task, examples: Examples, asked: Asked) -> dict[str, Any]:
        return cost(network, task)

    def floor(self, task: Task, examples: Examples, measured: Measured) -> dict[str, Any] | None:
        """The metrics of the label space's floor: for classes the majority baseline, which predicts the class frequencies of
        the training split (hidden labels included).

        Hidden labels are needed because `shots` labels equally many examples of each class.
        """
        floor = task.labels.floor(torch.cat([task.train.labels, task.unlabeled.labels]), len(examples))
        return None if floor is None else task.labels.measure(floor, examples.labels)
