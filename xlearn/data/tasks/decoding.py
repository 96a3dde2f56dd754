"""Files of pictures to one tensor, which is written to the cache while they are read."""

import hashlib
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data import near_pictures
from xlearn.data.content import of_picture
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.data.tasks.pictures import animated, colour, shown
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.growing import Write, kept_growing
from xlearn.runtime.hashing import digest
from xlearn.runtime.memory import need_memory

SPLITS = {
    "train": OPEN, "training": OPEN,
    "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL,
    "test": TEST, "testing": TEST,
}  # fmt: skip
# The size in which pictures are read if neither the task nor the encoder says one.
SIZE = 32


@dataclass(frozen=True)
class Decoding:
    """How the pictures of a task become tensors. `name` is for messages; `size` null: `SIZE`; `background`: the colour behind
    transparent parts.
    """

    name: str
    size: int | None
    channels: int
    skip_bad: bool
    background: str = "white"

    def check(self) -> None:
        if self.channels not in (1, 3):
            raise Problem(f"channels={self.channels}: give 1 (grey) or 3 (colour).")
        if self.side < 1:
            raise Problem(f"size={self.size}: give 1 or more.")
        colour(self.background)

    @property
    def side(self) -> int:
        return SIZE if self.size is None else self.size

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.side, self.side)


@dataclass(frozen=True)
class Pictures:
    """`images` uint8 `[m, channels, size, size]` of the pictures at the positions `rows`, int64 `[m]`, among those given; their
    `content` and `near`, int64 `[m]`, as in `Raw`. `origin`: the name of the data, whatever the size. `bad`: the positions of
    those that could not be read.

    `notes`: `bad_images`, if they are skipped, and how many are `animated`.
    """

    images: Tensor
    rows: Tensor
    content: Tensor
    near: Tensor
    bad: list[int]
    origin: str
    notes: dict[str, Any]


def read_pictures(
    values: Iterable[Any], names: Sequence[str], how: Decoding, stamp: str, part: str = "", gaps: bool = False
) -> Pictures:
    """Read the pictures of all rows: paths, or `{path, bytes}`. `stamp` identifies their content, `part` which of it is read;
    `names` of the rows are for messages.

    `gaps`: rows without a picture (None) are none of the bad ones; for them and for the bad ones a black picture is kept.
    Raises `Problem` that names what cannot be read, unless `how.skip_bad`, and before reading if memory is too small.
    """
    how.check()
    count, needed = len(names), len(names) * int(numpy.prod(how.shape))
    need_memory(needed, f"{how.name}: {count:,} pictures of {how.side} x {how.side} pixels", "Give a smaller size.")
    content = repr(("pictures", code_digest(__name__), stamp, part, how, gaps))
    key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    kept = kept_growing(key, "image", "uint8", how.shape, lambda write: _read(values, names, how, gaps, write))
    bad = kept["bad"].tolist()
    notes = {"bad_images": len(bad)} if how.skip_bad else {}
    notes |= {"animated": int(kept["animated"])} if kept["animated"] else {}
    origin = f"images {digest(stamp, 16)}"
    return Pictures(kept["image"], kept["row"], kept["content"], kept["near"], bad, origin, notes)


def _read(values: Iterable[Any], names: Sequence[str], how: Decoding, gaps: bool, write: Write) -> dict[str, Tensor]:
    background, black = colour(how.background), numpy.zeros(how.shape, numpy.uint8)
    rows, contents, hashes, bad, sentences, moving = [], [], [], [], [], 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which change nothing here
        for number, value in enumerate(tqdm(values, desc=f"reading {how.name}", disable=None, leave=False)):
            pixels, content, near, more = black, 0, 0, False
            if value is not None or not gaps:
                try:
                    pixels, content, near, more = _picture(value, how, background)
                except MemoryError as error:
                    raise Problem(
                        f"{_name(value, names[number])}: there is not enough memory to decode this picture."
                    ) from error
                except Exception as error:  # Pillow raises many kinds for damaged files
                    bad.append(number)
                    sentences.append(f"{_name(value, names[number])} ({error})")
                    if not gaps:
                        continue
            write(pixels)
            rows.append(number)
            contents.append(content)
            hashes.append(near)
            moving += more
    if bad and not how.skip_bad:
        listed = "\n  ".join(sentences[:10])
        raise Problem(
            f"{how.name}: {len(bad)} image(s) cannot be read. Repair or remove them, or set skip_bad=true:\n  {listed}"
        )
    if len(rows) == 0 or (gaps and not any(contents)):
        raise Problem(f"{how.name}: none of its {len(bad)} images can be read.")
    columns = {"row": rows, "content": contents, "near": hashes, "bad": bad, "animated": moving}
    return {name: torch.tensor(values, dtype=torch.int64) for name, values in columns.items()}


def _picture(value: Any, how: Decoding, background: tuple[int, int, int]) -> tuple[numpy.ndarray, int, int, bool]:
    """(uint8 `[channels, size, size]`, digest of the whole picture, its hash for near copies, whether it is animated)."""
    from PIL import Image

    if value is None:
        raise ValueError("no image in this row")
    stream = value if isinstance(value, str) else (io.BytesIO(value["bytes"]) if value.get("bytes") else value["path"])
    with Image.open(stream) as opened:
        more = animated(opened)
        whole = shown(opened, background)
        content, near = of_picture(whole), near_pictures.picture_hash(whole)
        small = whole.convert("L" if how.channels == 1 else "RGB").resize((how.side, how.side), Image.Resampling.BILINEAR)
    return numpy.asarray(small).reshape(how.side, how.side, how.channels).transpose(2, 0, 1), content, near, more


def _name(value: Any, name: str) -> str:
    return (value if isinstance(value, str) else (value or {}).get("path")) or name
