"""Rows that earlier tasks of a run have too: a task follows their sides, so that none learns from what another measures."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from xlearn.data.copies import whole
from xlearn.data.sides import NONE, READ, TRAIN
from xlearn.data.splits import Splits
from xlearn.data.tasks import TEST, VAL


class Followed:
    """An earlier task: its `splits`, and by name the identities of its rows, int64 `[n]`: digests of content by modality, and
    positions in named data. `measured`: all its rows are measured, in episodes.
    """

    def __init__(
        self, splits: Splits, digests: Mapping[str, Tensor], origin: Mapping[str, Tensor], measured: bool = False
    ) -> None:
        self.digests, self.origin, self.measured = digests, origin, measured
        count = len(next(iter(digests.values())))
        self.side = torch.full((count,), NONE, dtype=torch.int8)
        for rows, side in ((splits.train, TRAIN), (splits.unlabeled, READ), (splits.val, VAL), (splits.test, TEST)):
            self.side[rows] = TEST if measured else side


def sides_given(
    digests: Mapping[str, Tensor], origin: Mapping[str, Tensor], count: int, earlier: Sequence[Followed], by_content: bool
) -> Tensor:
    """int8 `[count]`: the strictest side of each row in the earlier tasks, NONE where they do not have it. Rows are the same in
    the same place of the same data (`origin`), or, with `by_content`, if all modalities that both tasks have are equal.
    """
    found = torch.full((count,), NONE, dtype=torch.int8)
    for each in earlier:
        shared = sorted(origin.keys() & each.origin.keys())
        if shared and each.measured:
            continue  # refused, because all its rows are measured: see `xlearn.data.leakage`
        for name in shared:
            found = torch.maximum(found, _looked_up(origin[name], each.origin[name], each.side))
        if by_content and (common := sorted(digests.keys() & each.digests.keys())):
            mine, theirs = (whole({name: given[name] for name in common}) for given in (digests, each.digests))
            # 0: the row has none of these modalities.
            found = torch.maximum(found, _looked_up(mine, theirs, each.side).where(mine != 0, NONE))
    return found


def _looked_up(own: Tensor, other: Tensor, side: Tensor) -> Tensor:
    """int8 `[n]`: for each of `own` the strictest side of the same identity among `other`."""
    used = side != NONE
    known, inverse = other[used].unique(return_inverse=True)
    if not len(known):
        return torch.full((len(own),), NONE, dtype=torch.int8)
    strictest = torch.full((len(known),), NONE, dtype=torch.int8).scatter_reduce_(0, inverse, side[used], "amax")
    places = torch.searchsorted(known, own).clamp_max(len(known) - 1)
    return torch.where(known[places] == own, strictest[places], NONE)
