"""The statistics of batch normalisation at the end of a phase: those of its final weights, over the examples it read.

Running statistics lag behind the weights: with momentum m, after s steps they still contain (1 - m)^s of their start, 37 % for
100 steps and m = .01. Evaluation would then normalise differently from training.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Examples
from xlearn.data.unlabeled import is_hidden
from xlearn.networks.network import Network
from xlearn.networks.statistics import BatchNorm, buffers, estimated, normalisations, put_back, statistics
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine

STATISTICS = ("exact", "running")
# With fewer examples the running statistics are better (docs/decisions/0023-normalization-statistics.md).
FEWEST = 20
# At most so many examples, and at most this share of those that the phase's steps read, but not fewer than `SMALL`.
MOST, SHARE, SMALL = 2048, 0.1, 256


class NormalizationStatistics:
    """Which statistics the batch normalisations of a phase end with.

    `exact`: those of the final weights over the phase's training examples, without augmentation: all of them, or a sample of
    `min(2048, max(256, steps * batch / 10))`; of several tasks the same number of each. A phase that adapts has the target's
    unlabelled examples among them, because labelled ones alone would be another domain. `running`: the moving averages over the
    phase's batches. They stay where a normalisation reads fewer than 20 examples, and in phases of self-supervision. Nothing
    changes where a normalisation did not train.

    `read`: the phase's training examples by role; `adapts`: whether it reads unlabelled examples of the target; `before`: the
    tensors of the network at its start; `batch`: the number of examples in a step.
    """

    def __init__(
        self,
        kind: str,
        network: Network,
        read: Mapping[str, Examples],
        adapts: bool,
        before: Mapping[str, Tensor],
        batch: int,
        seed: int,
        machine: Machine,
    ) -> None:
        self.network, self.before, self.batch, self.seed, self.machine = network, before, batch, seed, machine
        self.read = read
        learns = adapts or not any(is_hidden(each.labels) for each in read.values())
        self.exact = kind == "exact" and learns and bool(normalisations(network))

    def finish(self, steps: int) -> dict[str, Any]:
        """Set the statistics of the network's present weights after so many steps; returns the part of the phase's report."""
        moved = self._moved()
        if not moved:
            return {}
        if not self.exact:
            return {"normalization_statistics": {"kind": "running"}}
        found = self._estimate(moved, min(MOST, max(SMALL, round(SHARE * steps * self.batch))))
        few = f"batch normalisation keeps its running statistics: {found['examples']} examples, and exact ones need {FEWEST}"
        return {"normalization_statistics": found, **({"note": few} if found["kind"] == "running" else {})}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Within, exact statistics of at most `SMALL` examples, for scores that select weights. Afterwards the running ones,
        from which training and moving averages of teachers continue.
        """
        if not self.exact:
            yield
            return
        before = statistics(self.network)
        self._estimate(self._moved(), SMALL)
        try:
            yield
        finally:
            put_back(self.network, before)

    def _moved(self) -> list[BatchNorm]:
        """The normalisations whose statistics the phase changed."""
        named = {module: name for name, module in self.network.named_modules()}
        return [
            module
            for module in normalisations(self.network)
            if not torch.equal(buffers(module)[0].cpu(), self.before[f"{named[module]}.running_mean"])
        ]

    def _estimate(self, modules: list[BatchNorm], limit: int) -> dict[str, Any]:
        each = min(limit // len(self.read), *(len(examples) for examples in self.read.values()))
        rows = {role: self._sample(role, examples, each) for role, examples in self.read.items()}
        before = statistics(self.network)
        fewest = estimated(self.network, rows, self.machine, modules) if each * len(rows) >= FEWEST else each * len(rows)
        if fewest < FEWEST:
            # A mixture of both is often worse than either: layers read what layers below normalise.
            put_back(self.network, before)
            return {"kind": "running", "examples": fewest}
        return {"kind": "exact", "examples": {role: len(sample) for role, sample in rows.items()}}

    def _sample(self, role: str, examples: Examples, number: int) -> Examples:
        if number == len(examples):
            return examples
        generator = torch.Generator().manual_seed(derive(self.seed, "statistics", role))
        return examples.subset(torch.randperm(len(examples), generator=generator)[:number].sort().values)
