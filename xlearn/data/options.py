"""The options of tasks, modalities and episodes. Imports nothing heavy: the schema of the configuration has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskOptions:
    """Which classes, which splits and how many labels. Training examples without a label become unlabelled examples.

    - `groups` replace `classes`. Splits, `shots` and `imbalance` use the data's own classes, so that tasks made of the same
      data have the same test rows.
    - `val` is a share of the examples outside of the test split, unless the data come with a validation split. With `shots` it
      has at most `shots` per class, because few labels for training mean few labels for selection.
    - `shots: 0` is for adaptation without labels: the validation split keeps its size, and only `keep: oracle` may use it.
    - `draw` is the seed of the split and of the labels that are shown: which rows are test, validation, labelled, unlabelled. A
      run's `seed` draws everything else. Sources follow the target's draw, so that tasks made of the same data agree about
      their test rows; `source.NAME.draw` draws one source by itself.
    - `imbalance` (Cao et al., NeurIPS 2019): of the n labelled training examples of class i of K (from 0, in the order of the
      task), `n * imbalance^(i / (K - 1))` are kept, rounded, at least one. Validation and test are unchanged.
    """

    classes: list[str | int] | None = None  # a subset of the classes, by name or position; null: all
    groups: dict[str, list[str | int]] | None = None  # new classes made of the data's own: name to list
    shots: int | None = None  # labelled training examples per class, the others are unlabelled; 0: none; null: all are labelled
    fraction: float | None = None  # the share of the training examples that is labelled, instead of shots
    imbalance: float | None = None  # a long tail: labels of the last class as a share of those of the first
    val: float = 0.1  # the share of the training examples that validates; with shots, at most shots examples per class
    test: float = 0.2  # the share of all examples in the test split, unless the data have a test split
    folds: int | None = None  # k-fold cross-validation: the number of folds
    fold: int = 0  # with folds: which fold is the test split, from 0
    draw: int | None = None  # the seed of the split and of the labels; null: as seed (of a source: as target.draw)
    modalities: list[str] | None = None  # the modalities to read; null: all that the data have
    # Examples of equal content, whatever their names: together (on one side of every split) | drop (the first is used) | keep.
    duplicates: str = "together"
    head: str | None = None  # a name for the label space: tasks of the same classes share a head where it is the same


@dataclass
class ImageOptions:
    """Null: the largest among the tasks of the run."""

    size: int | None = None  # height and width in pixels; null: the largest among source and target
    channels: int | None = None  # 1 (grey) or 3 (colour); null: the larger among source and target


@dataclass
class TextOptions:
    """Settings of the tokeniser that is learned for a run."""

    tokenizer: str = "bpe"  # bpe (learned on the training texts; Chinese by characters) | characters
    vocabulary: int = 4000  # the largest number of tokens
    length: int = 128  # tokens; longer texts are truncated, and counted
    lowercase: bool = True  # before tokenising


@dataclass
class AudioOptions:
    """`rate` in Hz (null: the lowest among the tasks); `window`, `hop` and `seconds` (null: the whole length) in seconds."""

    rate: int | None = None  # samples per second (Hz); null: the lowest among source and target
    bands: int = 40  # mel bands of the log-mel frames
    window: float = 0.025  # seconds per frame
    hop: float = 0.010  # seconds between frames
    seconds: float | None = None  # longer sounds are cut to this length; null: not cut


@dataclass
class TabularOptions:
    """Of columns of categories; columns of numbers have no settings."""

    categories: int | None = None  # the most frequent categories of a column, each its own; all others are one; null: 1000


@dataclass
class EpisodeOptions:
    """N-way K-shot tasks with Q queries. `held_out`: the share of a source's classes for validation episodes."""

    ways: int = 5  # N: classes per episode
    shots: int | None = None  # K: support examples per class; null: as target.shots
    queries: int = 5  # query examples per class
    tasks: int = 4  # episodes per training step
    test: int = 600  # episodes that a result is measured on
    val: int = 100  # episodes per validation
    held_out: float = 0.2  # the share of a source's classes that only validation episodes use
