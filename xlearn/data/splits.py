"""Splits: deterministic from their draw, disjoint, stratified, and the same for every method."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy
import torch
from torch import Tensor

from xlearn.data.options import TaskOptions
from xlearn.data.tasks import OPEN, TEST, VAL, Raw
from xlearn.runtime.errors import Problem, nearest

# Row numbers, int64: many small arrays, for which NumPy takes a tenth of torch's time.
Rows = numpy.ndarray


@dataclass(frozen=True)
class Splits:
    """Row numbers of the original data, ascending, int64 each."""

    train: Tensor
    val: Tensor
    test: Tensor
    unlabeled: Tensor


def chosen_classes(raw: Raw, options: TaskOptions, name: str) -> list[int]:
    """Positions of the data's own classes that `options.classes` or `options.groups` name, in that order."""
    if options.groups is not None:
        return [position for group in chosen_groups(raw, options, name).values() for position in group]
    if options.classes is None:
        return list(range(len(raw.groups)))
    _need_names(raw, f"{name}.classes")
    chosen = _positions(raw, options.classes, f"{name}.classes")
    if len(chosen) < 2:
        raise Problem(f"{name}.classes={list(options.classes)} leaves fewer than 2 classes. Name at least 2.")
    return chosen


def chosen_groups(raw: Raw, options: TaskOptions, name: str) -> dict[str, list[int]]:
    """The classes of the task, each with the positions of the data's own classes that it is made of."""
    if options.groups is None:
        return {raw.groups[position]: [position] for position in chosen_classes(raw, options, name)}
    _need_names(raw, f"{name}.groups")
    if options.classes is not None:
        raise Problem(f"{name}.groups: {name}.classes is set too. Set one of them to null.")
    if len(options.groups) < 2 or not all(options.groups.values()):
        raise Problem(f"{name}.groups={options.groups}: give at least 2 classes, each made of at least one of the data's own.")
    every = _positions(raw, [each for group in options.groups.values() for each in group], f"{name}.groups")
    positions = iter(every)
    return {label: [next(positions) for _ in group] for label, group in options.groups.items()}


def _need_names(raw: Raw, where: str) -> None:
    if not raw.classes:
        raise Problem(f"{where} chooses among classes, but this task predicts {raw.label_space.name}. Leave it at null.")


def _positions(raw: Raw, named: Sequence[str | int], where: str) -> list[int]:
    # Of equal names the first, as `index` of a tuple.
    position = {name: place for place, name in reversed([*enumerate(raw.classes)])}
    chosen = []
    for wanted in named:
        if str(wanted) in position:
            chosen.append(position[str(wanted)])
        elif isinstance(wanted, int) and 0 <= wanted < len(raw.classes):
            chosen.append(wanted)
        else:
            raise Problem(f"{where}: {wanted!r} is no class. {nearest(str(wanted), raw.classes)}")
    if len(set(chosen)) < len(chosen):
        raise Problem(f"{where}={list(named)} names a class twice. Name each once.")
    return chosen


def check(options: TaskOptions, name: str) -> None:
    """Raise `Problem` for invalid options, and for options that contradict each other."""

    def need(holds: bool, key: str, fix: str) -> None:
        if not holds:
            raise Problem(f"{name}.{key}={getattr(options, key)}: {fix}.")

    need(options.shots is None or options.shots >= 0, "shots", "give 0 (no labels) or more, or null for all labels")
    need(options.fraction is None or 0 < options.fraction <= 1, "fraction", "give a share in (0, 1], or null")
    need(options.shots is None or options.fraction is None, "fraction", "shots is set too; set one of them to null")
    need(options.imbalance is None or 0 < options.imbalance <= 1, "imbalance", "give a share in (0, 1], e.g. 0.01, or null")
    need(0 <= options.val < 1, "val", "give a share in [0, 1)")
    need(0 < options.test < 1, "test", "give a share in (0, 1)")
    need(options.draw is None or 0 <= options.draw < 2**63, "draw", "give 0 to 2^63 - 1, or null")
    need(options.folds is None or options.folds >= 2, "folds", "give 2 or more, or null")
    need(options.fold >= 0, "fold", "folds are counted from 0")
    need(options.folds is not None or options.fold == 0, "fold", f"{name}.folds is null; set it, e.g. to 5")
    need(options.folds is None or options.fold < options.folds, "fold", f"give 0 to {(options.folds or 1) - 1}")


def split(raw: Raw, options: TaskOptions, draw: int, name: str) -> Splits:
    """Split class by class (the groups of the label space): first test rows, then validation, then labelled training rows.

    Test rows do not depend on `classes`, `shots`, `fraction`, `imbalance` or `val`. So of two tasks made of the same data with
    the same draw, neither learns from the other's test split. One permutation per class, seeded by `draw` alone (a task's
    own, or the run's seed: see `TaskSource.draw`).
    """
    check(options, name)
    parts: dict[str, list[Rows]] = {"train": [], "val": [], "test": [], "unlabeled": []}
    wanted = {label: place for place, label in enumerate(chosen_classes(raw, options, name))}
    given = _Given(raw, options, name)
    for label, rows in enumerate(_shuffled(raw, draw)):
        if label not in wanted:
            continue
        kept = 1.0 if options.imbalance is None else options.imbalance ** (wanted[label] / max(1, len(wanted) - 1))
        for part, found in zip(parts, _split_class(rows, label, kept, given), strict=True):
            parts[part].append(found)
    joined = {part: torch.from_numpy(numpy.sort(numpy.concatenate(found))) for part, found in parts.items()}
    return Splits(**joined)


def rows_by_group(strata: Tensor, groups: int) -> list[Rows]:
    """The rows of each of the groups 0 to `groups` - 1, ascending, from the group of each row, `int64 [n]`. Sorted once, so
    that the cost grows with rows plus groups.
    """
    ordered, rows = strata.sort(stable=True)
    bounds = torch.searchsorted(ordered, torch.arange(groups + 1)).tolist()
    every = rows.numpy()
    return [every[start:end] for start, end in pairwise(bounds)]


def _shuffled(raw: Raw, draw: int) -> Iterator[Rows]:
    """The rows of each group in random order. All groups draw from one generator, in the order of their labels."""
    generator = torch.Generator().manual_seed(draw)
    for rows in rows_by_group(raw.strata, len(raw.groups)):
        yield rows[torch.randperm(len(rows), generator=generator).numpy()]


class _Given:
    """What is the same for all classes: data, options, and official splits (None without; `tested`: with test rows)."""

    def __init__(self, raw: Raw, options: TaskOptions, name: str) -> None:
        self.raw, self.options, self.name = raw, options, name
        self.official = None if raw.official is None else raw.official.numpy()
        self.tested = self.official is not None and bool((self.official == TEST).any())


def _split_class(rows: Rows, label: int, kept: float, given: _Given) -> tuple[Rows, Rows, Rows, Rows]:
    """(train, val, test, unlabeled) of one class, from its rows in random order; `kept` is its share in the long tail."""
    raw, options, name = given.raw, given.options, given.name
    val = test = rows[:0]
    rest = rows
    if options.folds is not None:
        if len(rows) < options.folds:
            raise Problem(
                f"{name}.folds={options.folds}: {_group(raw, label)} has {len(rows)} examples. Give at most {len(rows)}."
            )
        test, rest = rows[options.fold :: options.folds], numpy.delete(rows, slice(options.fold, None, options.folds))
    else:
        if given.official is not None:
            official = given.official[rows]
            test, val, rest = rows[official == TEST], rows[official == VAL], rows[official == OPEN]
        if not given.tested:
            count = _share(options.test, len(rest)) if len(rest) > 1 else 0
            test, rest = rest[:count], rest[count:]
    if len(val) == 0 and options.val > 0:
        count = _share(options.val, len(rest)) if len(rest) > 2 else 0
        val, rest = rest[:count], rest[count:]
    if options.shots is None:
        labelled = len(rest) if options.fraction is None else max(1, round(options.fraction * len(rest)))
        labelled = max(1, round(kept * labelled))
        return rest[:labelled], val, test, rest[labelled:]
    if options.shots > len(rest):
        raise Problem(
            f"{name}.shots={options.shots}: {_group(raw, label)} has {len(rest)} training examples "
            f"({len(rows)} less {len(test)} for the test and {len(val)} for validation). "
            f"Give at most {len(rest)}, or lower {name}.val or {name}.test."
        )
    if options.shots == 0:  # without labels only the oracle selects
        return rest[:0], val, test, rest
    labelled = max(1, round(kept * options.shots))
    spare = val[options.shots :]
    return rest[:labelled], val[: options.shots], test, numpy.concatenate([rest[labelled:], spare])


def _group(raw: Raw, label: int) -> str:
    """The words for a group, e.g. `class 'dog'`."""
    return f"{raw.label_space.group} {raw.groups[label]!r}" if raw.label_space.group else "the task"


def _share(share: float, count: int) -> int:
    """That share of `count` rows, but at least one, and one less than all: every class keeps a row to train on."""
    return min(max(1, round(share * count)), count - 1)
