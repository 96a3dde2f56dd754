"""Batches of examples, drawn from permutations of each task."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

from xlearn.batches import Batching, Beginning
from xlearn.data import batches
from xlearn.data.task import Task
from xlearn.runtime.errors import Problems, nearest

SAMPLING = ("shuffled", "balanced")
TASKS = ("all", "proportional", "equal", "temperature")


class Batches(Batching):
    """`batch_size` examples of every task in every step (see `xlearn.data.batches.Batches`).

    `sampling`: `shuffled`, or `balanced` (every class equally often). `tasks`: `all` in every step, or one per step, drawn
    `proportional` to its number of examples n, `equal`ly often, or by n^(1 / `temperature`). `common`: tasks made of the same
    examples share their batches. Raises `Problem` for values out of range.
    """

    def __init__(
        self,
        base_learner: partial[Any] | None,
        *,
        batch_size: int = 64,
        sampling: str = "shuffled",
        tasks: str = "all",
        temperature: float = 2.0,
        common: bool = True,
    ) -> None:
        super().__init__(base_learner)
        problems = [f"batch_size={batch_size}: give 1 or more."] if batch_size < 1 else []
        for name, value, known in (("sampling", sampling, SAMPLING), ("joint.tasks", tasks, TASKS)):
            if value not in known:
                problems.append(f"{name}={value}: {nearest(str(value), known)}")
        if not temperature > 0:
            problems.append(f"joint.temperature={temperature}: give more than 0.")
        if problems:
            raise Problems(problems)
        self.batch_size, self.sampling, self.tasks = batch_size, sampling, tasks
        self.temperature, self.common = temperature, common
        self.every_role = tasks == "all"
        self.keeps_shares = sampling != "balanced"

    def small(self) -> "Batches":
        few = copy.copy(self)
        few.batch_size = min(2, self.batch_size)
        return few

    def size(self, examples: int) -> int:
        return min(self.batch_size, examples)

    def shares(self, separate: bool) -> bool:
        return self.common and not separate

    def document(self, read: Mapping[str, Task]) -> dict[str, Any]:
        # With a single task, sampling of tasks has no effect.
        joint = {"tasks": self.tasks, "temperature": self.temperature, "common": self.common}
        return {"batch_size": self.batch_size, "sampling": self.sampling, **(joint if len(read) > 1 else {})}

    def begin(self, beginning: Beginning) -> batches.Batches:
        return batches.Batches(
            beginning.examples,
            batch_size=self.batch_size,
            seed=beginning.seed,
            balanced=self.sampling == "balanced",
            augment=beginning.augment,
            device=beginning.device,
            common=self.shares(beginning.separate),
            tasks="all" if beginning.every else self.tasks,
            temperature=self.temperature,
        )
