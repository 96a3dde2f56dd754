"""The choice of how inner loops run: all tasks at once (vectorised), or one after the other (sequential)."""

import time
from collections.abc import Callable
from typing import Any, Literal

import torch

from xlearn.base_learners.tasks import CANNOT
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.hashing import digest
from xlearn.runtime.randomness import random_state, set_random_state
from xlearn.runtime.storage import kept

# Vectorised if it takes at most this share of the sequential time.
CLEARLY = 0.85
TRIES = 3


class Path:
    """Chooses between the vectorised and the sequential inner loop.

    `auto` measures both once for a network, batch sizes and machine, and caches the choice, so that a repeated run takes the
    same way and gives the same bits. If a layer cannot be vectorised, the loop is sequential and `why` holds the reason.
    """

    def __init__(self, wanted: Literal["auto", "always", "never"]) -> None:
        self.wanted = wanted
        self.chosen: dict[str, bool] = {}
        self.why: str | None = None
        self.last = False

    def choose(
        self, tried: Callable[[bool], None], network: Network, way: tuple[Any, ...], support: Batch, query: Batch
    ) -> bool:
        """Whether to vectorise. `tried(vectorised)` runs the inner loop on these batches; `way` lists the settings that the
        choice depends on.
        """
        # Without the lengths of sequences, which differ in every step.
        sizes = [*((name, _shape(each)) for batch in (support, query) for name, each in sorted(batch.inputs.items()))]
        asked = repr((way, sizes))
        if asked not in self.chosen:
            numbers = sum(each.numel() for each in network.parameters())
            key = digest([network.document, numbers, asked], 16)
            self.chosen[asked] = self._choose(tried, key, str(support.labels.device))
        self.last = self.chosen[asked]
        return self.last

    def log(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        said = {"inner_loop": "vectorised" if self.last else "sequential"}
        return said if self.why is None else {**said, "not_vectorised": self.why}

    def _choose(self, tried: Callable[[bool], None], key: str, device: str) -> bool:
        if self.wanted == "never":
            return False
        state = random_state()  # dropout: the trial must not change the random state of training
        try:
            tried(True)
        except CANNOT as error:
            self.why = str(error).strip().partition("\n")[0][:200]
            return False
        finally:
            set_random_state(state)
        if self.wanted == "always":
            return True
        try:
            return bool(
                kept(f"inner-loop-{key}-{device.replace(':', '_')}", lambda: _measured(tried), computed=True)["vectorised"]
            )
        finally:
            set_random_state(state)


def _shape(given: Any) -> list[int]:
    return [*given.values.shape[:1], *given.values.shape[2:]] if isinstance(given, Sequences) else [*given.shape]


def _measured(tried: Callable[[bool], None]) -> dict[str, torch.Tensor]:
    """The shortest of `TRIES` times for each way, measured in turn."""
    seconds: dict[bool, float] = {}
    tried(False)
    for _ in range(TRIES):
        for vectorised in (False, True):
            began = time.perf_counter()
            tried(vectorised)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            spent = time.perf_counter() - began
            seconds[vectorised] = min(spent, seconds.get(vectorised, spent))
    return {
        "vectorised": torch.tensor(seconds[True] <= CLEARLY * seconds[False]),
        "seconds": torch.tensor([seconds[False], seconds[True]]),
    }
