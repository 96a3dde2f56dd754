"""The test splits of a run: opened once each, here only."""

from xlearn.data.reads import Roles
from xlearn.data.task import Examples


class Opened:
    """Opens the test split of a role's task when it is first measured. All that measures it gets the same examples."""

    def __init__(self, roles: Roles) -> None:
        self._tasks = {role: task for tasks in roles.values() for role, task in tasks.items()}
        self._examples: dict[str, Examples] = {}

    def __call__(self, role: str) -> Examples:
        if role not in self._examples:
            self._examples[role] = self._tasks[role].test.open()
        return self._examples[role]
