"""The test splits of a run: opened once each, here only."""

from xlearn.data.reads import Roles
from xlearn.data.task import Examples, Sealed, Task


class Opened:
    """Opens the test split of a role's task when it is first measured. All that measures it gets the same examples."""

    def __init__(self, roles: Roles) -> None:
        self._tasks = {role: task for tasks in roles.values() for role, task in tasks.items()}
        # By the number of the object: a split is no key, and stays alive here.
        self._examples: dict[int, tuple[Sealed, Examples]] = {}

    def __call__(self, role: str) -> Examples:
        return self.of(self._tasks[role])

    def of(self, task: Task) -> Examples:
        """The test split of this task: that of a role, or the same rows in the form that another network reads.

        Of a task without labels all its examples, which are predicted.
        """
        if not task.measurable:  # without labels: there is nothing to keep sealed
            return task.unlabeled
        if id(task.test) not in self._examples:
            self._examples[id(task.test)] = task.test, task.test.open()
        return self._examples[id(task.test)][1]
