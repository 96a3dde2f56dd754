"""Notes on the splits of a task, for its result and the summary."""

from typing import Any

import torch

from xlearn.data.copies import Copies, counted
from xlearn.data.splits import Splits
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import TEST, Raw


def split_notes(source: TaskSource, data: Raw, found: Copies, splits: Splits) -> dict[str, Any]:
    """Copies and contradictions (`xlearn.data.copies.counted`); `owners`: how many there are; `no_split_by`, for people's files
    without it; `left_out` and `moved`: rows, as in `Splits`; `learned_before`: test rows that the weights had learned from;
    `whole_groups`: classes all of whose examples are in one unit; `folds_mix_test`: rows of an official test split in folds.
    """
    notes = counted(data, found, source.options.duplicates)
    if data.owner is not None:
        notes["owners"] = len(data.owner.unique())
    elif "split_by" in source.arguments:
        notes["no_split_by"] = True
    counts = {"left_out": len(splits.left_out), "moved": splits.moved, "learned_before": splits.learned}
    notes |= {name: count for name, count in counts.items() if count}
    if found.units is not None and data.label_space.group and (single := _whole_groups(data, found)):
        notes["whole_groups"] = single
    if source.options.folds is not None and data.official is not None and (tests := int((data.official == TEST).sum())):
        notes["folds_mix_test"] = tests
    return notes


def _whole_groups(data: Raw, found: Copies) -> list[str]:
    """The classes of several examples, all of which are in one unit: no split has them on both sides."""
    known = data.known
    assert found.units is not None
    strata, units = data.strata[known], found.units[known]
    count = len(data.groups)
    highest = torch.full((count,), -1).scatter_reduce_(0, strata, units, "amax")
    lowest = torch.full((count,), len(found.units)).scatter_reduce_(0, strata, units, "amin")
    several = torch.bincount(strata, minlength=count) > 1
    return [data.groups[place] for place in ((highest == lowest) & several).nonzero().flatten().tolist()]
