"""The settings of each modality, beside those of its encoder. Imports nothing heavy: the configuration's schema has them."""

from dataclasses import dataclass


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
