"""Splits: deterministic from their draw, disjoint, stratified, and the same for every method."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from xlearn.data.copies import RULES, Copies, digests_of
from xlearn.data.copies import copies as copies_of
from xlearn.data.options import TaskOptions
from xlearn.data.sides import LEFT_OUT, NONE, READ, TRAIN, Rows, sides, words_for
from xlearn.data.tasks import TEST, VAL, Raw
from xlearn.runtime.errors import Problem, nearest


@dataclass(frozen=True)
class Splits:
    """Row numbers of the original data, ascending, int64 each. `left_out`: rows that could not be used without a leak, such as
    a training row that is a copy of an official test row. `moved`: the number of rows on another side than that of the task
    alone, because earlier tasks of the run have the same rows there. `learned`: the number of test rows that are left out,
    because the weights that the run begins with have learned from them.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    unlabeled: Tensor
    left_out: Tensor
    moved: int = 0
    learned: int = 0

    def parts(self) -> dict[str, Tensor]:
        """The four splits by name."""
        return {"train": self.train, "val": self.val, "test": self.test, "unlabeled": self.unlabeled}


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
    need(options.duplicates in RULES, "duplicates", f"give {', '.join(RULES[:-1])} or {RULES[-1]}")
    need(options.fold >= 0, "fold", "folds are counted from 0")
    need(options.folds is not None or options.fold == 0, "fold", f"{name}.folds is null; set it, e.g. to 5")
    need(options.folds is None or options.fold < options.folds, "fold", f"give 0 to {(options.folds or 1) - 1}")


def split(
    raw: Raw, options: TaskOptions, draw: int, name: str, copies: Copies | None = None, given: Tensor | None = None
) -> Splits:
    """The rows of the test split, of validation, and of training with and without labels.

    Test rows do not depend on `classes`, `shots`, `fraction`, `imbalance` or `val`. So of two tasks made of the same data with
    the same draw, neither learns from the other's test split (see `sides`; `draw` is a task's own, or the run's seed:
    `TaskSource.draw`). `copies`: those of all modalities by default. `given int8 [n]`: the sides that earlier tasks of the run
    have given to the same rows, NONE for others.
    """
    check(options, name)
    copies = copies or copies_of(raw, {each: digests_of(raw, each) for each in raw.inputs}, options.duplicates)
    found = sides(raw, options, draw, name, copies)
    side = found.side if given is None else _followed(raw, found.side, given.numpy(), copies)
    moved = int(((side != found.side) & (found.side != NONE)).sum())
    wanted = {label: place for place, label in enumerate(chosen_classes(raw, options, name))}
    parts: dict[str, list[Rows]] = {"train": [], "val": [], "test": [], "unlabeled": []}
    spare = []
    for label, rows in enumerate(found.orders):
        if label in wanted:
            share = 1.0 if options.imbalance is None else options.imbalance ** (wanted[label] / max(1, len(wanted) - 1))
            train, val, rest = _labelled(rows, side, label, share, _Asked(raw, options, name))
            for part, each in zip(parts, (train, val, rows[side[rows] == TEST], rest), strict=True):
                parts[part].append(each)
            spare.append(_spare(rows[side[rows] == VAL], options))
    others, out = _without_labels(raw, side, copies, given)
    freed, kept = _freed(numpy.concatenate(spare), numpy.concatenate(parts["val"]), copies)
    parts["unlabeled"] += [freed, others]
    joined = {part: torch.from_numpy(numpy.sort(numpy.concatenate(rows))) for part, rows in parts.items()}
    left_out = numpy.concatenate([numpy.nonzero(side == LEFT_OUT)[0], kept, out])
    left = torch.from_numpy(numpy.sort(left_out))
    return Splits(joined["train"], joined["val"], joined["test"], joined["unlabeled"], left, moved)


@dataclass(frozen=True)
class _Asked:
    """What is the same for all groups; `name` is for messages."""

    raw: Raw
    options: TaskOptions
    name: str


def _labelled(rows: Rows, side: Rows, label: int, kept: float, asked: _Asked) -> tuple[Rows, Rows, Rows]:
    """(train, val, unlabeled) of one group from its rows in random order; `kept` is its share in the long tail."""
    options, name = asked.options, asked.name
    rest, val = rows[side[rows] == TRAIN], rows[side[rows] == VAL]
    if options.shots is None:
        labelled = len(rest) if options.fraction is None else max(1, round(options.fraction * len(rest)))
        labelled = max(1, round(kept * labelled))
        return rest[:labelled], val, rest[labelled:]
    if options.shots > len(rest):
        test = int((side[rows] == TEST).sum())
        if len(rows) == 0:
            raise Problem(
                f"{name}.shots={options.shots}: no example of {words_for(asked.raw, label)} has a label. Leave it out "
                f"({name}.classes), or write {name}.shots=0 or null."
            )
        raise Problem(
            f"{name}.shots={options.shots}: {words_for(asked.raw, label)} has {len(rest)} training examples "
            f"({len(rows)} less {test} for the test and {len(val)} for validation). Give at most {len(rest)}, or lower "
            f"{name}.val (0: no validation) or {name}.test (of {name}.folds: give more folds)."
        )
    if options.shots == 0:  # without labels only the oracle selects
        return rest[:0], val, rest
    labelled = max(1, round(kept * options.shots))
    return rest[:labelled], val[: options.shots], rest[labelled:]


def _spare(val: Rows, options: TaskOptions) -> Rows:
    """The validation rows of a group beyond those that `shots` allows."""
    return val[options.shots :] if options.shots else val[:0]


def _freed(spare: Rows, val: Rows, copies: Copies) -> tuple[Rows, Rows]:
    """Of the spare validation rows, those that may be unlabelled training rows, and those whose unit still validates."""
    if copies.units is None:
        return spare, spare[:0]
    units = copies.units.numpy()
    validates = numpy.isin(units[spare], units[val])
    return spare[~validates], spare[validates]


def _without_labels(raw: Raw, side: Rows, copies: Copies, given: Tensor | None) -> tuple[Rows, Rows]:
    """Of the rows that have no label, those for training, and those that are left out, because a row of their unit is measured
    or validates, here or in an earlier task.
    """
    if raw.labelled is None:
        return numpy.zeros(0, numpy.int64), numpy.zeros(0, numpy.int64)
    rows = ~raw.labelled.numpy()
    if copies.unused is not None:
        rows &= ~copies.unused.numpy()
    strict = numpy.zeros(len(side), bool) if given is None else given.numpy() > TRAIN
    if copies.units is not None:
        units = copies.units.numpy()
        measured = numpy.zeros(len(side), bool)
        measured[units[(side > TRAIN) & (side != LEFT_OUT)]] = True
        strict |= measured[units]
    return numpy.nonzero(rows & ~strict)[0], numpy.nonzero(rows & strict)[0]


def _followed(raw: Raw, side: Rows, given: Rows, copies: Copies) -> Rows:
    """The sides of the rows, changed where an earlier task has the same rows on another side: a unit is on the strictest side
    of its rows. A row that may neither be measured (the other task learns from it) nor learned from is left out.
    """
    if (given == NONE).all():
        return side
    unit = given
    if copies.units is not None:
        units = copies.units.numpy()
        strictest = numpy.full(len(given), NONE, given.dtype)
        numpy.maximum.at(strictest, units, given)
        unit = strictest[units]
    official = numpy.zeros(len(side), numpy.int8) if raw.official is None else raw.official.numpy()
    learned = (given >= READ) & (given <= VAL)
    found = side.copy()
    found[((unit == READ) | (unit == TRAIN)) & (side == TEST)] = TRAIN
    found[(unit == TRAIN) & (side == VAL)] = TRAIN
    found[unit == VAL] = VAL
    found[unit == TEST] = TEST
    found[(found == TEST) & learned] = LEFT_OUT
    found[(side == TEST) & (official == TEST) & learned] = LEFT_OUT
    found[unit == LEFT_OUT] = LEFT_OUT
    found[(side == NONE) | (side == LEFT_OUT)] = side[(side == NONE) | (side == LEFT_OUT)]
    return found
