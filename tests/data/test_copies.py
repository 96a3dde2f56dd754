"""Copies and owners stay on one side: in splits, folds, shots, validation and episodes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.tasks import blobs, fruits, numbers, prepared

from xlearn.data.copies import copies, digests_of, first_rows
from xlearn.data.options import TaskOptions
from xlearn.data.splits import split
from xlearn.data.task_source import TaskSource, rows
from xlearn.data.tasks import OPEN, TEST, VAL, Raw
from xlearn.runtime.errors import Problem


def of(raw, rule="together"):
    return copies(raw, {name: digests_of(raw, name) for name in raw.inputs}, rule)


def repeated(raw, times):
    """Every example `times` times, in another order."""
    order = torch.randperm(len(raw.labels) * times, generator=torch.Generator().manual_seed(3)) % len(raw.labels)
    return replace(raw, inputs={name: column[order] for name, column in raw.inputs.items()}, labels=raw.labels[order])


def on_one_side(units, found):
    """Whether no unit has rows in two of training, validation and test."""
    side = torch.full((len(units),), -1)
    for number, part in enumerate((torch.cat([found.train, found.unlabeled]), found.val, found.test)):
        side[part] = number
    used = side >= 0
    pairs = torch.stack([units[used], side[used]], 1).unique(dim=0)
    return len(pairs) == len(pairs[:, 0].unique())


def all_rows(found):
    return torch.cat([*found.parts().values(), found.left_out]).sort().values.tolist()


options = st.builds(
    TaskOptions,
    shots=st.none() | st.integers(0, 3), test=st.floats(0.1, 0.5), val=st.floats(0, 0.5), folds=st.none() | st.integers(2, 3),
)  # fmt: skip


@given(st.integers(12, 30), st.integers(1, 4), options, st.integers(0, 2**31), st.booleans())
def test_copies_stay_on_one_side(count, times, options, seed, mixed_labels):
    raw = repeated(fruits([count, count]), times)
    if mixed_labels:  # the same input with different labels
        raw = replace(raw, labels=raw.labels.flip(0))
    found = split(raw, options, seed, "target")
    assert on_one_side(of(raw).content, found)
    assert all_rows(found) == list(range(len(raw.labels)))


@given(st.lists(st.integers(0, 7), min_size=40, max_size=60), options, st.integers(0, 2**31))
def test_owners_stay_on_one_side(owners, options, seed):
    raw = replace(fruits([len(owners) // 2, len(owners) - len(owners) // 2]), owner=torch.tensor(owners))
    try:
        found = split(raw, options, seed, "target")
    except Problem as problem:  # one owner may have all rows of a class
        assert "shots" in str(problem) or "folds" in str(problem)
        return
    assert on_one_side(raw.owner, found)
    assert all_rows(found) == list(range(len(owners)))
    if options.folds is None and len(set(owners)) > 2:
        assert len(found.test) and len(found.train) + len(found.unlabeled)


def test_without_copies_and_owners_nothing_changes():
    raw = fruits([30, 20])
    alone = split(raw, TaskOptions(duplicates="keep"), 3, "t")
    one_each = split(replace(raw, owner=torch.arange(50)), TaskOptions(), 3, "t")
    for found in (split(raw, TaskOptions(), 3, "t"), one_each):
        assert all(torch.equal(found.parts()[name], rows) for name, rows in alone.parts().items())


def test_six_speakers_by_hand():
    """Of six speakers with all classes, one is tested, one validates, four train."""
    raw = replace(fruits([60, 60]), owner=torch.arange(120) % 6)
    found = split(raw, TaskOptions(), 0, "t")
    owners = {name: set(raw.owner[rows].tolist()) for name, rows in found.parts().items()}
    assert [len(owners[name]) for name in ("test", "val", "train")] == [1, 1, 4]
    folds = [split(raw, TaskOptions(folds=3, fold=fold), 0, "t").test for fold in range(3)]
    assert torch.cat(folds).sort().values.tolist() == list(range(120))
    assert all(len(raw.owner[rows].unique()) == 2 for rows in folds)


def test_a_rare_class_has_owners_on_all_sides():
    """Patients with many healthy rows and few ill ones: those with ill rows are shared out first."""
    owner = torch.arange(40).repeat_interleave(10)
    labels = torch.zeros(400, dtype=torch.int64)
    labels[torch.arange(10) * 10] = 1  # ten patients have one ill row each
    raw = replace(fruits([390, 10]), labels=labels, owner=owner)
    found = split(raw, TaskOptions(), 0, "t")
    assert [int(labels[rows].sum()) for rows in (found.test, found.val, found.train)] == [2, 1, 7]


def test_shots_are_different_examples_of_several_owners():
    raw = repeated(fruits([12, 12]), 5)
    found = split(raw, TaskOptions(shots=4), 0, "t")
    assert len(of(raw).content[found.train].unique()) == 8
    owned = replace(fruits([60, 60]), owner=torch.arange(120) // 20)
    assert len(owned.owner[split(owned, TaskOptions(shots=8), 0, "t").train].unique()) > 2


def test_drop_uses_the_first_of_equal_examples_and_none_with_different_labels():
    raw = fruits([20, 20])
    images = torch.cat([raw.inputs["image"], raw.inputs["image"][:3]])
    labels = torch.cat([raw.labels, raw.labels[:2], 1 - raw.labels[2:3]])
    raw = replace(raw, inputs={"image": images}, labels=labels)
    found = split(raw, TaskOptions(duplicates="drop"), 0, "t")
    used = torch.cat([*found.parts().values()]).sort().values.tolist()
    assert used == [row for row in range(40) if row != 2]


def test_training_rows_that_are_copies_of_official_test_rows_are_left_out():
    raw = fruits([10, 10])
    images = torch.cat([raw.inputs["image"], raw.inputs["image"][:4]])
    official = torch.tensor([TEST] * 3 + [VAL] * 2 + [OPEN] * 15 + [OPEN] * 4, dtype=torch.int8)
    raw = replace(raw, inputs={"image": images}, labels=torch.cat([raw.labels, raw.labels[:4]]), official=official)
    found = split(raw, TaskOptions(), 0, "t")
    assert found.test.tolist() == [0, 1, 2] and found.val.tolist() == [3, 4]
    assert found.left_out.tolist() == [20, 21, 22, 23]
    kept = split(raw, TaskOptions(duplicates="keep"), 0, "t")
    assert {20, 21, 22, 23} < set(kept.train.tolist())


def test_rows_without_labels_are_unlabelled_training_rows():
    raw = fruits([20, 20])
    labelled = torch.arange(40) % 4 > 0
    found = split(replace(raw, labelled=labelled), TaskOptions(), 0, "t")
    assert found.unlabeled.tolist() == list(range(0, 40, 4))
    none = split(replace(raw, labelled=torch.zeros(40, dtype=torch.bool)), TaskOptions(), 0, "t")
    assert none.unlabeled.tolist() == list(range(40))
    # A copy without a label of a row that is measured is left out.
    images = raw.inputs["image"].clone()
    measured = int(found.test[0])
    images[0] = images[measured]
    copied = split(replace(raw, inputs={"image": images}, labelled=labelled), TaskOptions(), 0, "t")
    assert (0 in copied.left_out.tolist()) == (measured in copied.test.tolist() or measured in copied.val.tolist())


def test_a_copy_under_another_name_follows_the_target():
    """A source with the target's rows in another order: its training rows are none of the target's test rows."""
    target = TaskSource("noise", "target", numbers, {}, TaskOptions(shots=5))
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))

    def shuffled() -> Raw:
        raw = numbers()
        return replace(raw, inputs={"tabular": raw.inputs["tabular"][order]}, labels=raw.labels[order])

    source = TaskSource("shuffled", "source.shuffled", shuffled, {}, TaskOptions(), follows=(target,))
    here, there = rows(target, 0), rows(source, 0)
    own = replace(source, follows=())
    for part, mine in (("test", here.test), ("val", here.val)):
        assert set(order[there.parts()[part]].tolist()) >= set(mine.tolist())
    learned = order[torch.cat([there.train, there.unlabeled])]
    assert not torch.isin(learned, torch.cat([here.test, here.val])).any()
    assert there.moved > 0 and torch.isin(order[rows(own, 0).train], here.test).any()


def test_two_label_columns_of_one_table_agree_row_by_row():
    """Strata differ, so that each by itself would draw other test rows."""

    def column(other: bool) -> Raw:
        raw = numbers()
        labels = torch.arange(120) % 2 if other else raw.labels
        return replace(
            raw, labels=labels, classes=raw.classes[: 2 if other else 3], origin={"tabular": ("t", torch.arange(120))}
        )

    target = TaskSource("a", "target", lambda: column(False), {"label": "a"}, TaskOptions())
    source = TaskSource("b", "source.b", lambda: column(True), {"label": "b"}, TaskOptions(), follows=(target,))
    assert rows(source, 0).test.tolist() == rows(target, 0).test.tolist()
    assert rows(replace(source, follows=()), 0).test.tolist() != rows(target, 0).test.tolist()


@given(options, options, st.integers(0, 99), st.integers(0, 99))
def test_no_task_learns_from_what_another_is_measured_on(one, other, first, second):
    """Whatever both ask for: the same data under two names, each with its own shares, folds, shots and draw."""
    try:
        target = TaskSource("one", "target", numbers, {}, replace(one, draw=first))
        source = TaskSource("other", "source.other", numbers, {}, replace(other, draw=second), follows=(target,))
        here, there = rows(target, 0), rows(source, 0)
    except Problem as problem:  # too few rows for the shots
        assert "shots" in str(problem)
        return
    assert not torch.isin(torch.cat([there.train, there.val, there.unlabeled]), here.test).any()
    assert not torch.isin(torch.cat([here.train, here.val, here.unlabeled]), there.test).any()
    assert not torch.isin(there.train, here.val).any() and not torch.isin(here.train, there.val).any()


def test_queries_are_no_copies_of_support_examples():
    from xlearn.data.episodes import Episodes, Kind

    def twice() -> Raw:
        return repeated(blobs(), 2)

    task = prepared(twice, test=0.1)
    content = of(twice()).content
    drawn = Episodes({"target": task.train}, Kind(3, 2, 3, 4), seed=0)
    for step in range(20):
        for number in range(step * 4, step * 4 + 4):
            assert len(content[task.train.rows[drawn._drawn(number).flatten()]].unique()) == 15
    kept = prepared(twice, "kept", test=0.1, duplicates="keep")
    assert kept.train.repeated is None


def test_the_notes_count():
    def several() -> Raw:
        raw = repeated(fruits([20, 20]), 2)
        return replace(raw, labels=raw.labels.flip(0), inputs={"image": raw.inputs["image"]})

    notes = prepared(several).notes
    assert notes["copies_together"] == len(of(several()).repeats.nonzero()) and notes["contradictions"] > 0
    assert "copies_together" not in prepared(blobs).notes

    def single_speakers() -> Raw:
        raw = fruits([30, 30, 30])
        # Two classes have one speaker each, the third has thirty.
        return replace(raw, owner=torch.where(raw.labels < 2, raw.labels, torch.arange(90) + 2))

    assert prepared(single_speakers).notes["whole_groups"] == list(fruits([1, 1]).classes)
    with pytest.raises(Problem, match="all examples of each class are copies or of one owner"):
        prepared(lambda: replace(single_speakers(), owner=fruits([30, 30, 30]).labels), "speakers")

    def official() -> Raw:
        return fruits([20, 20], torch.tensor([OPEN] * 30 + [TEST] * 10, dtype=torch.int8))

    assert prepared(official, folds=2).notes["folds_mix_test"] == 10
    assert "folds_mix_test" not in prepared(official).notes


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_first_rows(values):
    assert first_rows(torch.tensor(values)).tolist() == [values.index(value) for value in values]


def test_other_words_are_refused():
    with pytest.raises(Problem, match=r"target\.duplicates=merge: give together, drop or keep"):
        split(fruits([5, 5]), TaskOptions(duplicates="merge"), 0, "target")
