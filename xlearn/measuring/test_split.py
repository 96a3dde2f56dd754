"""Measurement on the examples of a test split."""

from collections.abc import Sequence
from typing import Any

import torch

from xlearn.data.task import Examples, Task
from xlearn.measuring import Asked, Measured, Measuring
from xlearn.measuring.cached_logits import predictions
from xlearn.measuring.cost import cost
from xlearn.metrics.measure import measure
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network
from xlearn.phases.encoder_cache import encode


class TestSplit(Measuring):
    """The metrics of the predictions on the test split."""

    def __call__(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> Measured:
        # Pretrained encoders that no phase trained encode a data set once for all runs.
        encoded = encode(network, examples, still, asked.machine)
        outputs = (predictions if asked.cached else logits)(network, encoded, asked.machine)
        metrics = measure(outputs, examples.labels, task.labels.classes)
        tensors = {"logits": outputs, "labels": examples.labels, "rows": examples.rows}
        return Measured(metrics, tensors, {"correct": outputs.argmax(1) == examples.labels})

    def cost(self, network: Network, task: Task, examples: Examples, asked: Asked) -> dict[str, Any]:
        return cost(network, task)

    def floor(self, task: Task, examples: Examples, measured: Measured) -> dict[str, Any]:
        """The metrics of predicting the class frequencies of the training split (hidden labels included).

        Hidden labels are needed because `shots` labels equally many examples of each class.
        """
        labels = torch.cat([task.train.labels, task.unlabeled.labels])
        counts = torch.bincount(labels, minlength=len(task.labels.classes)).double()
        shares = (counts / counts.sum()).clamp_min(1e-9).log().float()
        return measure(shares.expand(len(examples), -1), examples.labels, task.labels.classes)
