"""Episodes: what is drawn, that it depends on nothing but the seed and its number, and what is never seen in training."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from toys.episodes import KIND, line_examples, sign_examples, sign_task

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.episodes import Episodes, Kind, classes_apart
from xlearn.label_spaces.classes import Classes
from xlearn.label_spaces.numbers import Numbers
from xlearn.runtime.errors import Problem

SOME = sign_examples()


def episodes(kind=KIND, seed=3, **roles):
    return Episodes(roles or {"signs": SOME}, kind, seed=seed)


def numbered(**options):
    """Examples of which every image says its row."""
    given = sign_examples(**options)
    images = given.rows[:, None, None, None].expand(-1, 1, 2, 2).to(torch.int32)
    return replace(given, inputs={"image": images})


def rows(batch, tasks):
    """int64 `[tasks, n]`: the rows that the images say."""
    return batch.inputs["image"][:, 0, 0, 0].long().unflatten(0, (tasks, -1))


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name].inputs["image"], other[name].inputs["image"])
        and torch.equal(one[name].labels, other[name].labels)
        for name in one
    )


@settings(max_examples=25, deadline=None)
@given(ways=some.integers(1, 6), shots=some.integers(1, 5), queries=some.integers(1, 5), tasks=some.integers(1, 4))
def test_an_episode_has_its_ways_shots_and_queries_all_different(ways, shots, queries, tasks):
    drawn = episodes(Kind(ways, shots, queries, tasks), signs=numbered())(5)
    support, query = (rows(drawn[name], tasks) for name in ("support", "query"))
    assert support.shape == (tasks, ways * shots) and query.shape == (tasks, ways * queries)
    for task in range(tasks):
        both = torch.cat([support[task], query[task]])
        assert len(both.unique()) == ways * (shots + queries)
        # Ten rows of each class: class by class, the same classes in the same order on both sides.
        classes = (support[task] // 10).unflatten(0, (ways, shots))
        assert bool((classes == classes[:, :1]).all()) and len(classes[:, 0].unique()) == ways
        assert torch.equal(query[task] // 10, classes[:, 0].repeat_interleave(queries))
    places = torch.arange(ways)
    assert torch.equal(drawn["support"].labels, places.repeat_interleave(shots).repeat(tasks))
    assert torch.equal(drawn["query"].labels, places.repeat_interleave(queries).repeat(tasks))
    assert drawn["support"].space == drawn["query"].space == Classes("episode", tuple(map(str, range(ways))))


def test_an_episode_is_the_same_whatever_was_asked_before_and_whatever_it_comes_with():
    first, second = episodes(), episodes()
    for step in (7, 0, 7, 3):
        second(step)
    torch.manual_seed(99)
    assert same(first(4), second(4))
    # The episodes of a step are those of these numbers, alone or together.
    whole, single = first.some(range(2, 6)), [first.some(range(number, number + 1)) for number in range(2, 6)]
    joined = torch.cat([each["query"].inputs["image"] for each in single])
    assert torch.equal(whole["query"].inputs["image"], joined)
    assert same(first(1), first.some(range(3, 6)))
    assert not same(first(0), first(1)) and not same(first(0), episodes(seed=4)(0))


def test_drawing_takes_nothing_from_torchs_generator():
    before = torch.get_rng_state()
    episodes()(0)
    assert torch.equal(before, torch.get_rng_state())


def test_every_class_and_every_example_has_the_same_chance():
    kind = Kind(ways=3, shots=1, queries=1, tasks=1200)
    support = rows(episodes(kind, signs=numbered(kinds=6, each=4))(0)["support"], 1)[0]
    # 3600 examples in the support of 24: 150 each, 11.7 is one deviation at most (they come without replacement).
    counts = torch.bincount(support, minlength=24)
    assert len(counts) == 24 and int(counts.min()) > 100 and int(counts.max()) < 200
    assert int((support[::3] // 4 == 0).sum()) == pytest.approx(200, abs=50)  # the first place knows no class either


def test_two_roles_never_mix_their_classes_and_come_by_their_numbers_of_classes():
    """Both have classes 0, 1, ...: rows from 1000 on are the other's."""
    both = {"a": numbered(kinds=4), "b": replace(numbered(kinds=12, seed=1), rows=torch.arange(120))}
    both["b"] = replace(both["b"], inputs={"image": both["b"].inputs["image"] + 1000})
    kind = Kind(ways=3, shots=2, queries=2, tasks=400)
    drawn = episodes(kind, **both)(0)
    found = torch.cat([rows(drawn[name], 400) for name in ("support", "query")], 1) >= 1000
    assert bool((found.all(1) | ~found.any(1)).all())
    assert int(found[:, 0].sum()) == pytest.approx(300, abs=40)


def test_rows_are_where_the_queries_stand_in_the_data():
    made = episodes(signs=replace(numbered(first=500)))
    drawn = rows(made.some(range(3, 4))["query"], 1)[0]
    assert torch.equal(made.rows(3), drawn)


def test_an_epoch_draws_as_many_examples_as_there_are():
    # 80 examples; 3 episodes of 3 classes with 2 + 4 of each are 54.
    assert episodes().steps_per_epoch == 1
    assert episodes(replace(KIND, tasks=1)).steps_per_epoch == 4
    assert episodes(Kind(2, 1, 1, 1)).steps_per_epoch == 20


def test_without_queries_there_is_a_support_alone():
    assert episodes(replace(KIND, queries=0))(0).keys() == {"support"}


def test_an_augmentation_changes_inputs_alone_and_the_same_way_each_time():
    def noisy(batch, generator):
        image = batch.inputs["image"].float()
        return replace(batch, inputs={"image": image + torch.randn(image.shape, generator=generator)})

    made = Episodes({"signs": SOME}, KIND, seed=3, augment=[noisy])
    plain, one, other = episodes()(2), made(2), made(2)
    assert same(one, other) and not same(one, plain)
    for name, batch in one.items():
        difference = batch.inputs["image"] - plain[name].inputs["image"]
        assert torch.equal(batch.labels, plain[name].labels) and 0.8 < float(difference.std()) < 1.2


def test_sequences_of_any_length_are_drawn_and_padded():
    texts = Ragged.of([torch.full((1 + row % 5,), row + 1) for row in range(80)])
    drawn = episodes(signs=replace(SOME, inputs={"text": texts}))(0)
    for batch in drawn.values():
        given = batch.inputs["text"]
        assert isinstance(given, Sequences)
        there = given.values[:, 0] - 1
        assert torch.equal(given.mask.sum(1), 1 + there % 5)
        assert bool((given.values == (there + 1)[:, None] * given.mask).all())
        # Ten texts of each class.
        assert len((there[: len(there) // 3] // 10).unique()) == 3


def test_ragged_columns_of_two_roles_stand_one_after_the_other():
    def texts(number):
        return replace(SOME, inputs={"text": Ragged.of([torch.tensor([number, row]) for row in range(80)])})

    drawn = Episodes({"a": texts(1), "b": texts(2)}, replace(KIND, tasks=20), seed=0)(0)["support"]
    found = drawn.inputs["text"].values.unflatten(0, (20, -1))
    assert bool((found[:, :, 0] == found[:, :1, 0]).all()) and set(found[:, 0, 0].tolist()) == {1, 2}


def test_where_numbers_are_predicted_they_are_the_labels():
    given = line_examples()
    drawn = Episodes({"lines": given}, Kind(1, 5, 4, 3), seed=3)(0)
    for name, count in (("support", 15), ("query", 12)):
        batch = drawn[name]
        assert batch.labels.shape == (count, 1) and batch.labels.is_floating_point()
        assert batch.space == Numbers("number", ()) and batch.space.key == Classes("number", ("value",)).key
        places = [(given.inputs["tabular"] == x).all(1).nonzero().item() for x in batch.inputs["tabular"]]
        assert torch.equal(batch.labels[:, 0], given.labels[places, 1])


def test_too_few_classes_or_examples_are_told_with_the_fix():
    with pytest.raises(Problem, match=r"episodes\.ways=9: signs has 8 classes to draw from\. Give at most 8"):
        episodes(replace(KIND, ways=9))
    with pytest.raises(Problem, match=r"shots=7 and episodes\.queries=4: class 's0_0' of signs has 10 .* at most 10 together"):
        episodes(replace(KIND, shots=7))
    few = SOME.subset((SOME.rows != 33).nonzero().flatten())
    with pytest.raises(Problem, match=r"class 's0_3' of signs has 9 examples"):
        episodes(replace(KIND, shots=6), signs=few)
    other = replace(SOME, inputs={"tabular": torch.zeros(80, 2)})
    with pytest.raises(Problem, match=r"episodes: b has tabular, the others image\. Choose sources of the same modalities"):
        episodes(a=SOME, b=other)


def parted():
    """A task of 8 signs with 8 training and 2 validation examples each."""
    val = SOME.rows % 10 >= 8
    return sign_task(SOME.subset((~val).nonzero().flatten()), SOME.subset(val.nonzero().flatten()))


def test_held_out_classes_are_never_trained_on():
    whole = parted()
    train, valid, classes = classes_apart({"signs": whole}, 0.5, KIND, seed=0)["signs"]
    assert classes and len(train.labels.unique()) == len(valid.labels.unique()) == 4
    assert not {*train.labels.tolist()} & {*valid.labels.tolist()}
    # Of the classes held out all is there, of the others what is for training.
    assert len(valid) == 40 and len(train) == 32 and bool((train.rows % 10 < 8).all())
    seen = {*train.rows.tolist()}
    drawn = Episodes({"signs": train}, KIND, seed=3)
    assert {row for number in range(60) for row in drawn.rows(number).tolist()} <= seen
    assert not seen & {*valid.rows.tolist()}


def test_where_too_few_classes_are_left_examples_are_held_out():
    whole = parted()
    for share, ways in ((0.2, 3), (0.5, 5), (0.0, 2)):
        train, valid, classes = classes_apart({"signs": whole}, share, replace(KIND, ways=ways), seed=0)["signs"]
        assert not classes and train is whole.train and valid is whole.val


def test_which_classes_are_held_out_follows_from_the_seed():
    tasks = {"signs": parted()}
    held = [frozenset(classes_apart(tasks, 0.5, KIND, seed)["signs"].val.labels.tolist()) for seed in (0, 0, 1, 2, 3)]
    assert held[0] == held[1] and len({*held}) > 1


@settings(max_examples=30, deadline=None)
@given(first=some.integers(0, 6), count=some.integers(2, 8), seed=some.integers(0, 9), share=some.sampled_from([0.2, 0.4, 0.5]))
def test_what_validates_one_source_is_learned_from_in_none(first, count, seed, share):
    """Classes of one name, and the same drawings under other names."""
    whole = parted()
    names = Classes("signs0", whole.labels.classes[first : first + count])
    labels = torch.where((SOME.labels >= first) & (SOME.labels < first + count), SOME.labels - first, -1)
    every = replace(SOME, labels=labels, space=names)
    parts = (every.subset(each.rows[labels[each.rows] >= 0]) for each in (whole.train, whole.val))
    named = replace(sign_task(*parts), labels=names)
    other = replace(whole, labels=Classes("drawings", tuple("abcdefgh")))
    tasks = {
        role: replace(each, origin={"file": torch.arange(80)}) for role, each in (("a", whole), ("b", named), ("c", other))
    }
    found = classes_apart(tasks, share, replace(KIND, ways=1), seed)
    validating = torch.cat([each.val.rows for each in found.values()])
    assert found["a"].classes and len(found["a"].val)
    for role, each in found.items():
        assert not torch.isin(each.train.rows, validating).any(), role
        # Nothing else is lost: neither rows of classes that nobody holds out, nor of the validation split.
        kept = torch.cat([each.train.rows, validating]).unique()
        assert torch.isin(tasks[role].train.rows, kept).all()
    held = {name for role in "ab" for name in _held(tasks[role], found[role])}
    for role in "ab":
        left = {tasks[role].labels.classes[label] for label in found[role].train.labels.unique().tolist()}
        assert not left & held


@pytest.mark.parametrize("seed", range(4))
def test_classes_of_the_same_drawings_are_held_out_together(seed):
    """Eight signs, of which 0 and 4, 1 and 5, ... are the same ones turned."""
    whole = parted()
    task = replace(whole, origin={"file": torch.arange(80) % 40})
    found = classes_apart({"signs": task}, 0.5, KIND, seed)["signs"]
    held, left = ({*each.labels.unique().tolist()} for each in (found.val, found.train))
    assert found.classes and len(held) == 4 and held == {(label + 4) % 8 for label in held} and not held & left


def _held(task, apart):
    return {task.labels.classes[label] for label in apart.val.labels.unique().tolist()} if apart.classes else set()
