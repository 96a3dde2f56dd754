"""The options of tasks, modalities and episodes. Imports nothing heavy: the schema of the configuration has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskOptions:
    """Which classes, which splits and how many labels.

    `classes`: a subset, by name or position. `test`: the share of all examples kept for the test, unless the data come
    with a test split. `val`: the share of the remaining examples, unless they come with one; when `shots` is given, at
    most `shots` per class, because who has few labels has few to select with. `shots`: labelled training examples per
    class, or `fraction`: that share of them; the rest becomes unlabeled. `shots: 0` is for a target that is adapted to without
    labels: its validation split stays as it is, and only `keep: oracle` may look at it. `imbalance`: a long tail; of the n
    labelled training examples that class i of K (from 0, in the order of the task) would have, `n * imbalance^(i / (K - 1))`
    are left, rounded, at least one, so that the last class has that share of what the first has if all had the same (Cao et
    al., NeurIPS 2019); the rest becomes unlabeled, validation and test stay as they are. `folds` and `fold`: k-fold
    cross-validation over all examples, fold `fold` (from 0) is the test split. `modalities`: those to read, of the ones
    the data have; null: all. `groups`: new classes made of the data's own, name to list, instead of `classes`; splits,
    `shots` and `imbalance` go by the data's own classes, so that tasks made of the same data keep the same rows apart.
    `head`: a name for the label space; tasks of the same classes share a head only if it is the same.
    """

    classes: list[str | int] | None = None
    groups: dict[str, list[str | int]] | None = None
    shots: int | None = None
    fraction: float | None = None
    imbalance: float | None = None
    val: float = 0.1
    test: float = 0.2
    folds: int | None = None
    fold: int = 0
    modalities: list[str] | None = None
    head: str | None = None


@dataclass
class ImageOptions:
    """Null: the largest among source and target."""

    size: int | None = None
    channels: int | None = None


@dataclass
class TextOptions:
    """`tokenizer`: bpe | characters; `vocabulary`: at most so many tokens; `length`: longer texts are truncated."""

    tokenizer: str = "bpe"
    vocabulary: int = 4000
    length: int = 128
    lowercase: bool = True


@dataclass
class AudioOptions:
    """`rate` in Hz (null: the lowest among the tasks); `window`, `hop` and `seconds` (null: the whole length) in seconds."""

    rate: int | None = None
    bands: int = 40
    window: float = 0.025
    hop: float = 0.010
    seconds: float | None = None


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
