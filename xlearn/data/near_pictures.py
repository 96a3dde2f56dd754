"""Near copies of pictures: the same photograph in another size, quality or, within limits, another cut.

A picture's hash is the perceptual hash of 64 bits of the package ImageHash (`phash`: signs of the lowest 8 x 8 coefficients of
a cosine transform, about their median) of the whole picture. Few bits differ between near copies: see `DISTANCE`.
"""

import functools
import itertools
from typing import Any

import numpy
import torch
from torch import Tensor

# Smaller pictures (shorter side, in pixels) have no hash: too many different ones look alike.
SMALLEST = 64
# Pictures with fewer grey values than this between their darkest and their brightest place have none: it would be noise.
CONTRAST = 8
# The most bits that differ between near copies. Measured by scripts/bench/near_pictures.py: at least .95 of the copies in
# other sizes (x .5 to 2), qualities (JPEG 30 to 90) and cuts (2 % less) are found, and at most .01 of 611 photographs are
# taken for a copy of another. Turned and mirrored pictures, and those cut by 10 % and more, mostly are not found.
DISTANCE = 10
# Rows of a block of the comparison of all pairs, and the rows up to which all pairs are compared.
BLOCK, ALL = 4096, 20_000


def picture_hash(image: Any) -> int:
    """int64 of a decoded Pillow image in mode L or RGB at its full size; 0 for one that is too small or has no contrast."""
    if min(image.size) < SMALLEST:
        return 0
    from imagehash import phash

    # Reduced by a whole number first, which is an average over squares: a tenth of the time.
    small = image.reduce(factor) if (factor := min(image.size) // SMALLEST) > 1 else image
    small = small.convert("L")
    low, high = small.getextrema()
    if high - low < CONTRAST:
        return 0
    bits = numpy.packbits(phash(small).hash.ravel())
    return int(bits.view(">i8")[0])


def pairs(one: Tensor, other: Tensor | None = None, distance: int = DISTANCE) -> Tensor:
    """int64 `[m, 2]`, sorted: the positions in `one` and `other` (int64 hashes `[n]`, `[k]`) of hashes of which at most
    `distance` bits differ. Without `other` those within `one`, each pair once, the lower position first. Zeros are no hashes.
    """
    first = torch.nonzero(one).flatten()
    second = first if other is None else torch.nonzero(other).flatten()
    left, right = one[first], (one if other is None else other)[second]
    few = min(len(left), len(right)) * max(len(left), len(right)) <= ALL**2
    found = (_all if few else _likely)(left, right, distance, other is None)
    found = torch.stack([first[found[:, 0]], second[found[:, 1]]], 1)
    return found[torch.argsort(found[:, 0] * (int(second.max()) + 1 if len(second) else 1) + found[:, 1])]


def _signs(hashes: Tensor) -> Tensor:
    """float32 `[n, 64]`, -1 or 1 a bit: the product of two rows is 64 - 2 x (bits that differ)."""
    return (((hashes[:, None] >> torch.arange(64)) & 1) * 2 - 1).float()


def _all(left: Tensor, right: Tensor, distance: int, within: bool) -> Tensor:
    """All pairs, by products of signs."""
    signs, found = _signs(right), []
    for begin in range(0, len(left), BLOCK):
        start = begin if within else 0
        near = _signs(left[begin : begin + BLOCK]) @ signs[start:].T >= 64 - 2 * distance
        rows, columns = near.nonzero().unbind(1)
        found.append(torch.stack([rows + begin, columns + start], 1))
    whole = torch.cat(found) if found else torch.zeros(0, 2, dtype=torch.int64)
    return whole[whole[:, 0] < whole[:, 1]] if within else whole


def _likely(left: Tensor, right: Tensor, distance: int, within: bool) -> Tensor:
    """The same pairs, by parts of the hashes: of `distance` // 2 + 1 parts, near hashes differ in one bit at most in one."""
    count = distance // 2 + 1
    bounds = [64 * part // count for part in range(count + 1)]
    found = []
    for low, high in itertools.pairwise(bounds):
        mask = (1 << (high - low)) - 1
        ours, theirs = (left >> low) & mask, (right >> low) & mask
        order = theirs.argsort()
        ordered = theirs[order]
        for flipped in [0, *(1 << bit for bit in range(high - low))]:
            for begin in range(0, len(ours), BLOCK):
                wanted = ours[begin : begin + BLOCK] ^ flipped
                start, end = torch.searchsorted(ordered, wanted), torch.searchsorted(ordered, wanted, right=True)
                counts = end - start
                rows = torch.repeat_interleave(torch.arange(begin, begin + len(wanted)), counts)
                before = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
                columns = order[torch.repeat_interleave(start, counts) + torch.arange(len(rows)) - before]
                if within:
                    rows, columns = rows[rows < columns], columns[rows < columns]
                near = _differ(left[rows], right[columns]) <= distance
                found.append(torch.stack([rows[near], columns[near]], 1))
    return torch.cat(found).unique(dim=0) if found else torch.zeros(0, 2, dtype=torch.int64)


@functools.cache
def _counts() -> numpy.ndarray:
    """The number of ones of each number of 16 bits."""
    return numpy.unpackbits(numpy.arange(2**16, dtype=">u2").view(numpy.uint8)).reshape(-1, 16).sum(1, dtype=numpy.uint8)


def _differ(one: Tensor, other: Tensor) -> Tensor:
    """int64 `[n]`: the number of bits in which hashes differ."""
    parts = (one ^ other).numpy().view(numpy.uint16).reshape(-1, 4)
    return torch.from_numpy(_counts()[parts].sum(1, dtype=numpy.int64))
