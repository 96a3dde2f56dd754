"""Measurement on the examples of a test split."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Examples, Task
from xlearn.measuring import AboveFloor, Asked, Measured, Measuring
from xlearn.measuring.cached_logits import predictions
from xlearn.measuring.cost import cost
from xlearn.metrics.paired import by_bootstrap, over_constant
from xlearn.networks.network import Network
from xlearn.networks.predictions import predict
from xlearn.phases.encoder_cache import encode
from xlearn.runtime.hashing import derive


class TestSplit(Measuring):
    """The metrics of the predictions on the test split; of a task without labels the predictions alone."""

    def __call__(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> Measured:
        # Pretrained encoders that no phase trained encode a data set once for all runs.
        encoded = encode(network, examples, still, asked.machine)
        found = (predictions if asked.cached else predict)(network, encoded, asked.machine)
        if not task.measurable:
            return Measured({}, {**found.tensors, "rows": examples.rows})
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
        floor = self._floor(task, len(examples)) if task.measurable else None
        return None if floor is None else task.labels.measure(floor, examples.labels)

    def above_floor(self, task: Task, examples: Examples, measured: Measured, asked: Asked) -> AboveFloor | None:
        """Over the examples, paired: a mean over examples by `over_constant`, another metric by a bootstrap of the examples,
        seeded by the run's seed (see `xlearn.metrics.paired`).
        """
        floor = self._floor(task, len(examples)) if task.measurable else None
        if floor is None:
            return None
        space, labels = task.labels, examples.labels
        metric = space.floor_metric(space.own_metric(asked.metric))
        given = {name: each for name, each in measured.tensors.items() if name not in ("labels", "rows")}
        own = space.reduced(given["logits"], labels) if "logits" in given else given
        both = own, space.reduced(floor, labels)
        values = [space.per_example(metric, each, labels) for each in both]
        if values[0] is not None and values[1] is not None:
            found = over_constant(values[0], values[1])
        else:

            def difference(rows: Tensor) -> float:
                first, second = (
                    space.measure_reduced({name: column[rows] for name, column in each.items()}, labels[rows])[metric]
                    for each in both
                )
                return float(first - second)

            found = by_bootstrap(difference, len(examples), derive(asked.seed, "floor"))
        return AboveFloor(metric, found if space.metrics[metric] else found.turned())

    def _floor(self, task: Task, count: int) -> Tensor | None:
        return task.labels.floor(torch.cat([task.train.labels, task.with_labels(task.unlabeled).labels]), count)
