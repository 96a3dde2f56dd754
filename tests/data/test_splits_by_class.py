"""Splits against a plain reference, class by class, and what is grouped once against a search for each group."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys.tasks import FRUITS, fruits, parts, prepared

from xlearn.data.options import TaskOptions
from xlearn.data.prepare import tiny
from xlearn.data.sides import rows_by_group
from xlearn.data.splits import split
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.runtime.errors import Problem

PARTS = ("train", "val", "test", "unlabeled")


def share(fraction, count):
    return min(max(1, round(fraction * count)), count - 1)


def reference(raw, options, wanted, seed):
    """{part: ascending rows}: every class is looked for in all rows and permuted, and its rows are cut as the options say."""
    found = {part: [] for part in PARTS}
    generator = torch.Generator().manual_seed(seed)
    for label in range(len(raw.classes)):
        rows = torch.nonzero(raw.labels == label).flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)].tolist()
        if label not in wanted:
            continue
        val, test, rest = [], [], rows
        if options.folds is not None:
            test = [row for place, row in enumerate(rows) if place % options.folds == options.fold]
            rest = [row for row in rows if row not in test]
        else:
            if raw.official is not None:
                of = {mark: [row for row in rows if raw.official[row] == mark] for mark in (OPEN, VAL, TEST)}
                val, test, rest = of[VAL], of[TEST], of[OPEN]
            if raw.official is None or TEST not in raw.official.tolist():
                count = share(options.test, len(rest)) if len(rest) > 1 else 0
                test, rest = rest[:count], rest[count:]
        if not val and options.val > 0:
            count = share(options.val, len(rest)) if len(rest) > 2 else 0
            val, rest = rest[:count], rest[count:]
        tail = 1.0 if options.imbalance is None else options.imbalance ** (wanted.index(label) / max(1, len(wanted) - 1))
        if options.shots == 0:
            labelled = 0
        else:
            some = len(rest) if options.fraction is None else max(1, round(options.fraction * len(rest)))
            labelled = max(1, round(tail * (some if options.shots is None else options.shots)))
        over = [] if options.shots in (None, 0) else val[options.shots :]
        val = val if options.shots in (None, 0) else val[: options.shots]
        cut = {"train": rest[:labelled], "val": val, "test": test, "unlabeled": [*rest[labelled:], *over]}
        for part, chosen in cut.items():
            found[part] += chosen
    return {part: sorted(rows) for part, rows in found.items()}


@st.composite
def tasks(draw):
    """(data with or without official splits, options, the positions of the chosen classes in the order of the options)."""
    counts = draw(st.lists(st.integers(8, 25), min_size=2, max_size=5))
    marks = st.lists(st.sampled_from([OPEN, OPEN, OPEN, VAL, TEST]), min_size=sum(counts), max_size=sum(counts))
    official = draw(st.none() | marks | marks.map(lambda each: [OPEN if mark == TEST else mark for mark in each]))
    raw = fruits(counts, None if official is None else torch.tensor(official, dtype=torch.int8))
    order = draw(st.permutations(range(len(counts))))[: draw(st.integers(2, len(counts)))]
    named = draw(st.sampled_from(["all", "classes", "groups"]))
    shots = draw(st.none() | st.integers(0, 2))
    options = TaskOptions(
        classes=[FRUITS[label] for label in order] if named == "classes" else None,
        groups={"one": [FRUITS[order[0]]], "rest": list(order[1:])} if named == "groups" else None,
        shots=shots,
        fraction=draw(st.none() | st.floats(0.05, 1)) if shots is None else None,
        imbalance=draw(st.none() | st.floats(0.01, 1)),
        folds=draw(st.none() | st.integers(2, 4)),
        val=draw(st.floats(0, 0.9)),
        test=draw(st.floats(0.05, 0.6)),
    )
    return raw, options, list(range(len(counts))) if named == "all" else list(order)


@given(tasks(), st.integers(0, 2**31))
@settings(max_examples=300, deadline=None)
def test_rows_are_those_of_a_search_class_by_class(task, seed):
    raw, options, wanted = task
    try:
        found = split(raw, options, seed, "t")
    except Problem as problem:  # too few rows are left for the shots
        assert "training examples" in str(problem) and options.shots
        return
    assert parts(found) == reference(raw, options, wanted, seed)


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 9))
def test_rows_by_group_are_those_of_a_search(strata, groups):
    found = [rows.tolist() for rows in rows_by_group(torch.tensor(strata, dtype=torch.int64), groups)]
    assert found == [[row for row, each in enumerate(strata) if each == group] for group in range(groups)]


def test_of_equal_names_the_first_is_chosen():
    data = replace(fruits([9, 9, 9]), classes=("apple", "cherry", "cherry"))
    found = split(data, TaskOptions(classes=["apple", "cherry"]), 0, "t")
    assert {*data.labels[found.train].tolist()} == {0, 1}


@pytest.mark.parametrize("per_class", [1, 2, 50])
def test_a_tiny_task_has_the_first_rows_of_each_class(per_class):
    task = prepared(lambda: fruits([20, 9, 14]), "tiny fruits")
    small = tiny(task, per_class)
    for before, after in ((task.train, small.train), (task.test.examples, small.test.examples)):
        expected = [
            row
            for label in range(3)
            for row in before.rows[before.labels == label].tolist()[:per_class]
        ]  # fmt: skip
        assert after.rows.tolist() == expected
