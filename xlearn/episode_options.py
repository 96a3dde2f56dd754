"""The settings of tasks of few examples. Imports nothing heavy: the configuration's schema has them."""

from dataclasses import dataclass


@dataclass
class EpisodeOptions:
    """N-way K-shot tasks with Q queries. `held_out`: the share of a source's classes whose tasks validate."""

    ways: int = 5
    shots: int | None = None  # null: as target.shots
    queries: int = 5
    tasks: int = 4
    test: int = 600
    val: int = 100
    held_out: float = 0.2


@dataclass
class PhaseEpisodes:
    """What a phase may have otherwise: it may train on other tasks than it is measured on. Null: as in `episodes`."""

    ways: int | None = None
    shots: int | None = None
    queries: int | None = None
    tasks: int | None = None
