"""Image files to tensors, which are kept in the cache."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data.tasks import OPEN, TEST, VAL, Raw
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import kept

SPLITS = {
    "train": OPEN, "training": OPEN,
    "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL,
    "test": TEST, "testing": TEST,
}  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """How the images of a task become tensors. `name` is for messages."""

    name: str
    size: int
    channels: int
    skip_bad: bool

    def check(self) -> None:
        if self.channels not in (1, 3):
            raise Problem(f"channels={self.channels}: give 1 (grey) or 3 (colour).")
        if self.size < 1:
            raise Problem(f"size={self.size}: give 1 or more.")


def decode(
    splits: Mapping[str, Iterable[tuple[Any, int]]], classes: list[str], how: Decoding, stamp: str, columns_read: str = ""
) -> Raw:
    """`splits[name]` yields (path, or `{path, bytes}`; class position). `stamp` identifies the files' content, and so the
    origin of the examples, whatever their size. `columns_read` identifies the columns of the images and labels.
    """
    how.check()
    content = repr(("images", code_digest(__name__), stamp, columns_read, classes, how))
    key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    columns = kept(key, lambda: _decode(splits, how))
    official = columns["official"] if len(splits) > 1 else None
    notes = {"bad_images": int(columns["bad"])} if how.skip_bad else {}
    origin = {"image": (f"images {digest(stamp, 16)}", columns["row"])}
    return Raw({"image": columns["image"]}, columns["label"], tuple(classes), "labels", official, notes, origin=origin)


def _decode(splits: Mapping[str, Iterable[tuple[Any, int]]], how: Decoding) -> dict[str, Tensor]:
    images, labels, official, places, bad, before = [], [], [], [], [], 0
    for split, rows in splits.items():
        number = -1
        for number, (value, label) in enumerate(tqdm(rows, desc=f"reading {how.name}", disable=None, leave=False)):
            try:
                images.append(_pixels(value, how))
            except Exception as error:  # Pillow raises many kinds for damaged files
                where = value if isinstance(value, str) else (value or {}).get("path")
                bad.append(f"{where or f'row {number} of split {split}'} ({error})")
                continue
            labels.append(label)
            official.append(SPLITS.get(split.lower(), OPEN))
            places.append(before + number)
        before += number + 1
    if bad and not how.skip_bad:
        shown = "\n  ".join(bad[:10])
        raise Problem(
            f"{how.name}: {len(bad)} image(s) cannot be read. Repair or remove them, or set skip_bad=true:\n  {shown}"
        )
    if not images:
        raise Problem(f"{how.name}: none of its {len(bad)} images can be read.")
    return {
        "image": torch.from_numpy(numpy.stack(images)),
        "label": torch.tensor(labels),
        "official": torch.tensor(official, dtype=torch.int8),
        "row": torch.tensor(places),
        "bad": torch.tensor(len(bad)),
    }


def _pixels(value: Any, how: Decoding) -> numpy.ndarray:
    """uint8 `[channels, size, size]`."""
    from PIL import Image

    if value is None:
        raise ValueError("no image in this row")
    stream = value if isinstance(value, str) else (io.BytesIO(value["bytes"]) if value.get("bytes") else value["path"])
    with Image.open(stream) as opened:
        pixels = _eight_bit(opened).convert("L" if how.channels == 1 else "RGB")
        pixels = pixels.resize((how.size, how.size), Image.Resampling.BILINEAR)
    return numpy.asarray(pixels).reshape(how.size, how.size, how.channels).transpose(2, 0, 1)


def _eight_bit(opened: Any) -> Any:
    """The image in a mode of 8 bits. Deeper grey is scaled here, because Pillow's `convert` would clip it at 255."""
    from PIL import Image

    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in ("PNG", "PPM")):
        return Image.fromarray(((numpy.asarray(opened).astype(numpy.uint32) + 128) // 257).astype(numpy.uint8))
    if opened.mode in ("I", "F"):
        raise ValueError(f"mode {opened.mode}: the range of its grey values is unknown; save it with 8 or 16 bits")
    # Pillow warns of palettes with partly transparent colours, unless they pass through RGBA.
    return opened.convert("RGBA") if opened.mode == "P" and "transparency" in opened.info else opened
