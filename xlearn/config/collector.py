"""Build components and collect all problems."""

from typing import Any

from xlearn.config.component import component
from xlearn.runtime.errors import Problem, sentences_of


class Collector:
    """Builds components and collects the problems, so that all of them are reported at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def component(self, node: Any, where: str, **options: Any) -> Any:
        try:
            return component(node, where, **options)
        except Problem as problem:
            self.add(problem)
            return None

    def optional(self, node: Any, where: str) -> Any:
        return self.component(node, where) if node else None

    def add(self, problem: Problem) -> None:
        self.problems += sentences_of(problem)

    def need(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.problems.append(sentence)
