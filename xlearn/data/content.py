"""Digests of examples by content: equal ones are the same example, whatever its name, its place or the size it is read in.

A digest is an int64. Pictures and sounds from files have one of the whole decoded file, which loaders keep beside the decoded
data (`Raw.content`); all other columns get theirs here.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy
import torch
import xxhash
from torch import Tensor

from xlearn.data.columns import Ragged

# Bytes of the largest image that Pillow keeps in one block, and the number of images that are laid out at once.
BLOCK = 2**23
BATCH = 64


def of_column(column: Any, names: Sequence[str] = (), rate: int | None = None) -> Tensor:
    """int64 `[n]`, from a raw column: texts as `list[str]`, images as uint8 `[n, channels, height, width]`, numbers as
    `[n, columns]` (`names`), sequences as `Ragged` (waves: at `rate` Hz), anything else byte by byte.
    """
    if isinstance(column, list):
        return of_texts(column)
    if isinstance(column, Ragged):
        values = column.values.contiguous().numpy()
        parts = (values[start:end] for start, end in pairwise(column.offsets.tolist()))
        return _signed(xxhash.xxh3_64_intdigest(part.data, rate or 0) for part in parts)
    if column.dtype == torch.uint8 and column.ndim == 4:
        return of_images(column)
    if column.ndim == 2 and column.is_floating_point():
        return of_numbers(column, names)
    return _signed(xxhash.xxh3_64_intdigest(row.data) for row in column.reshape(len(column), -1).contiguous().numpy())


def of_picture(image: Any) -> int:
    """Of a decoded Pillow image in mode L or RGB, at its full size. A grey picture is the same in both modes."""
    import pyarrow

    width, height = image.size
    # Pillow's own memory, without a copy; larger images lie in several blocks of it, and are read in bands.
    band = max(1, BLOCK // (4 * width))
    parts = [image] if height <= band else [image.crop((0, y, width, min(y + band, height))) for y in range(0, height, band)]
    planes = [numpy.frombuffer(pyarrow.array(part).buffers()[-1], numpy.uint8) for part in parts]
    # The first pixel decides for most pictures in colour.
    if image.mode == "RGB" and planes[0][0] == planes[0][1] == planes[0][2]:
        pixels = [plane.reshape(-1, 4) for plane in planes]
        if all(map(_grey, pixels)):
            planes = [numpy.ascontiguousarray(each[:, 0]) for each in pixels]
    size = height << 32 | width
    if len(planes) == 1:
        return _one(xxhash.xxh3_64_intdigest(planes[0].data, size))
    content = xxhash.xxh3_64(seed=size)
    for plane in planes:
        content.update(plane.data)
    return _one(content.intdigest())


def _grey(pixels: numpy.ndarray) -> bool:
    """Whether pixels `[n, 4]`, of which the last is padding, are grey."""
    return bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())


def of_samples(samples: numpy.ndarray, rate: int) -> int:
    """Of a decoded sound, float32 `[samples]`, its channels averaged, at its own rate in Hz."""
    return _one(xxhash.xxh3_64_intdigest(numpy.ascontiguousarray(samples).data, rate))


def of_images(images: Tensor) -> Tensor:
    """int64 `[n]`, as `of_picture`, from uint8 `[n, channels, height, width]`."""
    _, channels, height, width = images.shape
    size, found = height << 32 | width, []
    # Laid out as in Pillow's memory: red, green, blue, and a byte that is always 255.
    pixels = numpy.full((BATCH, height * width, 4), 255, numpy.uint8)
    for part in images.split(BATCH):
        planes = part.reshape(len(part), channels, -1).numpy()
        if channels == 1:
            found += [xxhash.xxh3_64_intdigest(plane.data, size) for plane in numpy.ascontiguousarray(planes[:, 0])]
            continue
        for channel in range(3):
            pixels[: len(part), :, channel] = planes[:, channel]
        begins = pixels[: len(part), :width]
        may_be_grey = ((begins[..., 0] == begins[..., 1]) & (begins[..., 0] == begins[..., 2])).all(1).tolist()
        for row in range(len(part)):
            grey = may_be_grey[row] and _grey(pixels[row])
            plane = numpy.ascontiguousarray(planes[row, 0]) if grey else pixels[row]
            found.append(xxhash.xxh3_64_intdigest(plane.data, size))
    return _signed(found)


def plain_text(text: str) -> str:
    """The text in NFKC (so that full-width letters are plain ones) and folded case, without white space, punctuation and
    control characters. A text without any other character is unchanged.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(each for each in folded if not _ignored(each)) or text


def _ignored(character: str) -> bool:
    """White space, punctuation, control and format characters."""
    category = unicodedata.category(character)
    return category[0] in "PZ" or category in ("Cc", "Cf")


# What becomes of a character by itself: its code in `plain_text`, or one of these.
_UNKNOWN, _IGNORED, _WHOLE = -1, 0, -2
_plain = numpy.full(0x110000, _UNKNOWN, numpy.int32)


def of_texts(texts: Sequence[str]) -> Tensor:
    """int64 `[n]`. Texts that differ in case, white space, width of letters and punctuation only are equal: `plain_text`."""
    # A lone surrogate is no character, but must not stop the reading of the other rows.
    codes = numpy.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), numpy.int32)
    bounds = numpy.cumsum([0, *map(len, texts)])
    plain = _plain[codes]
    if len(new := numpy.unique(codes[plain == _UNKNOWN])):
        _plain[new] = [_plain_code(chr(code)) for code in new.tolist()]
        plain = _plain[codes]
    stays, bytes_each = plain != _IGNORED, plain.itemsize
    kept = _sums(stays, bounds)
    slow = kept == 0
    if bool((several := plain == _WHOLE).any()):
        slow |= _sums(several, bounds) > 0
    starts, left = numpy.cumsum([0, *kept.tolist()]).tolist(), memoryview(plain[stays].tobytes())
    return _signed(
        xxhash.xxh3_64_intdigest(
            plain_text(text).encode("utf-32-le", "surrogatepass")
            if by_itself
            else left[bytes_each * starts[row] : bytes_each * starts[row + 1]]
        )
        for row, (text, by_itself) in enumerate(zip(texts, slow.tolist(), strict=True))
    )


def _sums(marks: numpy.ndarray, bounds: numpy.ndarray) -> numpy.ndarray:
    """int64 `[n]`: the numbers of marks (bool) between the bounds `[n + 1]`."""
    # A closing zero: `reduceat` needs an element at every start, and gives that element for an empty part.
    found = numpy.add.reduceat(numpy.append(marks, False), bounds[:-1], dtype=numpy.int64) if len(bounds) > 1 else bounds[:0]
    return numpy.where(numpy.diff(bounds) > 0, found, 0)


def _plain_code(character: str) -> int:
    """Characters that become several, or may become one with their neighbours, need the whole text."""
    found = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    if any(_joins(each) for each in (character, *found)):
        return _WHOLE
    left = [each for each in found if not _ignored(each)]
    if not left:
        return _IGNORED
    return ord(left[0]) if len(left) == 1 else _WHOLE


def _joins(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or 0x1100 <= ord(character) < 0x1200


def of_numbers(values: Tensor, names: Sequence[str] = ()) -> Tensor:
    """int64 `[n]`, from `[n, columns]`: whatever the order of the columns, if they have `names`. A missing value is NaN."""
    order = sorted(range(len(names)), key=lambda place: names[place]) if names else range(values.shape[1])
    found = torch.zeros(len(values), dtype=torch.int64)
    for place in order:
        column = values[:, place].double() + 0.0  # -0.0 becomes 0.0
        bits = torch.where(column.isnan(), torch.nan, column).contiguous().view(torch.int64)
        found = mixed([found, bits])
    return found


def of_word(word: str) -> float:
    """Of a category: 53 bits, which a float64 keeps exactly, so that categories stand among numbers."""
    return float(xxhash.xxh3_64_intdigest(word.encode()) >> 11)


def mixed(digests: Iterable[Tensor]) -> Tensor:
    """int64 `[n]`: one digest of several columns, each int64 `[n]`, in this order (SplitMix64's finaliser of their sums)."""
    found: Tensor | None = None
    for each in digests:
        found = each if found is None else found * 0x9E3779B97F4A7C1 + each
        found = (found ^ (found >> 30)) * -0x40A7B892E31B1A47
        found = (found ^ (found >> 27)) * -0x6B2FB644ECCEEE15
        found = found ^ (found >> 31)
    assert found is not None
    return found


def _one(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _signed(numbers: Iterable[int]) -> Tensor:
    return torch.from_numpy(numpy.fromiter(numbers, numpy.uint64).view(numpy.int64))
