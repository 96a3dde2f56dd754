"""The choice of how inner loops run: all tasks at once (vectorised), or one after the other (sequential)."""

from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from xlearn.base_learners.tasks import CANNOT
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.randomness import random_state, set_random_state

# On the CPU the vectorised loop takes less time from so many tasks on (perceptrons: 0.2 to 0.96 of the sequential time, 0.9 to
# 1.1 with 2 tasks). A network with convolutions also needs little work in each task, in parameters x examples: vectorised
# convolutions are grouped ones (0.2 to 0.9 at 2e4, 0.5 to 1.2 at 6e4, 0.9 to 2.3 at 2e5 and more). Measured with second and
# first order; `scripts/bench/meta.py` prints both ways for some networks.
TASKS = 4
WORK = 4e4
CONVOLUTIONS = (nn.modules.conv._ConvNd,)


class Path:
    """Chooses between the vectorised and the sequential inner loop.

    `auto` follows from the device, the network and the sizes of the batches (see `TASKS`, `WORK`), never from a measured time:
    the two ways differ in the last bits, so a choice by time would give other numbers in every cache. On a GPU it vectorises.
    If a layer cannot be vectorised, the loop is sequential and `why` holds the reason.
    """

    def __init__(self, wanted: Literal["auto", "always", "never"]) -> None:
        self.wanted = wanted
        self.chosen: dict[str, bool] = {}
        self.why: str | None = None
        self.last = False

    def choose(
        self,
        tried: Callable[[bool], None],
        network: Network,
        tasks: int,
        settings: tuple[Any, ...],
        support: Batch,
        query: Batch,
    ) -> bool:
        """Whether to vectorise. `tried(vectorised)` runs the inner loop on these batches; `settings` are those of the loop."""
        # Without the lengths of sequences, which differ in every step.
        sizes = [*((name, _shape(each)) for batch in (support, query) for name, each in sorted(batch.inputs.items()))]
        asked = repr((tasks, settings, sizes))
        if asked not in self.chosen:
            self.chosen[asked] = self._wants(network, tasks, support, query) and self._can(tried)
        self.last = self.chosen[asked]
        return self.last

    def log(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        said = {"inner_loop": "vectorised" if self.last else "sequential"}
        return said if self.why is None else {**said, "not_vectorised": self.why}

    def _wants(self, network: Network, tasks: int, support: Batch, query: Batch) -> bool:
        if self.wanted != "auto" or support.labels.device.type == "cuda":
            return self.wanted != "never"
        if tasks < TASKS:
            return False
        if not any(isinstance(each, CONVOLUTIONS) for each in network.modules()):
            return True
        examples = (len(support.labels) + len(query.labels)) / tasks
        return sum(each.numel() for each in network.parameters()) * examples <= WORK

    def _can(self, tried: Callable[[bool], None]) -> bool:
        state = random_state()  # dropout: the trial must not change the random state of training
        try:
            tried(True)
        except CANNOT as error:
            self.why = str(error).strip().partition("\n")[0][:200]
            return False
        finally:
            set_random_state(state)
        return True


def _shape(given: Any) -> list[int]:
    return [*given.values.shape[:1], *given.values.shape[2:]] if isinstance(given, Sequences) else [*given.shape]
