"""Several modalities: networks, formats and tasks made of them, and data that two tasks have in common."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.networks import pair_network
from toys.phases import phase, solve, stopped_at
from toys.tasks import blobs, numbers, pair_batch, pairs, words

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.formats import formats
from xlearn.data.leakage import need_disjoint
from xlearn.data.modalities import tabular
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource, raw
from xlearn.data.tasks import Raw
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.concat import Concat
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network, Tokens
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.memory import Kept
from xlearn.trunks.mlp import MlpTrunk

ENCODERS = {
    "image": partial(Mlp, widths=[8]),
    "tabular": partial(TabularMlp, widths=[8]),
    "text": partial(Lstm, embedding=4, width=4),
}
SETTINGS = {"image": {"size": None, "channels": None}}


def source(load, name="toy", where="target", **options):
    return TaskSource(name, where, load, {"load": repr(load)}, TaskOptions(**options))


def made(load, seed=0, name="toy", **options):
    given = source(load, name, **options)
    return prepare(given, formats([given], SETTINGS, ENCODERS, seed), seed)


def test_a_missing_modality_is_masked_and_an_unread_one_not_read():
    net, here = pair_network(), torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    found = net.tokens(pair_batch(tabular=here))
    assert found["image"].mask is None and torch.equal(found["tabular"].mask, here[:, None])
    only = net.features(pair_batch().only("image"))
    torch.testing.assert_close(net.features(pair_batch(tabular=here))[~here], only[~here])
    given = pair_batch()
    given.inputs["smell"] = torch.full((6, 1), float("nan"))
    assert torch.equal(net.features(given), net.features(pair_batch()))


def test_what_was_encoded_is_taken_over():
    net, given = pair_network(), pair_batch()
    vectors = net.encoder["image"](given.inputs["image"]).values[:, 0]
    encoded = replace(given, inputs={**given.inputs, "image": vectors}, encoded=frozenset({"image"}))
    assert torch.equal(net(encoded), net(given))
    several = Sequences(torch.stack([vectors, vectors], 1), torch.tensor([[True, False]] * 6))
    torch.testing.assert_close(net(replace(encoded, inputs={**given.inputs, "image": several})), net(given))
    assert encoded.only("tabular").encoded == frozenset() and encoded.only("image").encoded == {"image"}


def test_parameters_are_named_after_their_owner():
    tops = {".".join(name.split(".")[:2]) for name, _ in pair_network().named_parameters()}
    assert tops == {"encoder.image", "encoder.tabular", "fusion.project", f"head.{pair_batch().space.key}"}
    assert list(pair_network().encoder) == ["image", "tabular"]
    net = pair_network()
    assert torch.equal(net.joined(net.tokens(pair_batch())), net.features(pair_batch()))


def test_concat_alone_of_masked_tokens_is_zero():
    fusion = Concat({"text": 3})
    found = fusion({"text": Tokens(torch.full((2, 1, 3), float("nan")), torch.zeros(2, 1, dtype=torch.bool))})
    assert not found.any()
    assert isinstance(Network({}, fusion, {}).trunk, torch.nn.Identity)


def test_a_task_of_two_modalities():
    task = made(partial(pairs, lacking=0.25), shots=5)
    assert sorted(task.inputs) == ["image", "tabular"] and len(task.train) == 15
    parts = [task.train, task.val, task.unlabeled, task.test.examples]
    assert sum(int((~each.present["tabular"]).sum()) for each in parts) == 30
    rows = torch.cat([each.rows for each in parts])
    assert len(rows.unique()) == len(rows) == 120
    assert all(each.whole is not None and len(each.whole) == 120 and each.data == task.train.data for each in parts)
    for each in parts:
        assert torch.equal(each.whole.inputs["image"][each.rows], each.inputs["image"])
    assert task.only("image").train.present == {} and task.only("image").fingerprint != task.fingerprint


def test_the_modalities_of_a_task_can_be_chosen():
    assert list(made(pairs, modalities=["tabular"]).inputs) == ["tabular"]
    for wrong, told in ((["speech"], "toy has no 'speech'"), ([], "name at least one of image, tabular")):
        with pytest.raises(Problem, match=told):
            made(pairs, modalities=wrong)
    alone = {name: each for name, each in ENCODERS.items() if name != "tabular"}
    with pytest.raises(Problem, match=r"modality 'tabular', and no encoder reads it.*or target.modalities=\[image\]"):
        formats([source(pairs)], SETTINGS, alone, 0)
    assert list(formats([source(pairs, modalities=["image"])], SETTINGS, alone, 0)) == ["image"]


def seen(monkeypatch, *sources, seed=0):
    found = []
    monkeypatch.setitem(formats.__globals__, "_formats", Kept())  # not what was learned before
    watched = staticmethod(lambda pools, options: found.extend(pools) or tabular.fit(pools, {}))
    monkeypatch.setattr(tabular.TabularSpec, "fit", watched)
    formats(sources, SETTINGS, ENCODERS, seed)
    return {pool.name: pool.train for pool in found}


def test_formats_are_learned_from_training_rows_whatever_the_labels(monkeypatch):
    load = partial(pairs, lacking=0.25)
    rows = {key: seen(monkeypatch, source(load, **options))["toy"] for key, options in {
        "all": {}, "shots": {"shots": 2}, "fraction": {"fraction": 0.3}}.items()}  # fmt: skip
    assert torch.equal(rows["all"], rows["shots"]) and torch.equal(rows["all"], rows["fraction"])
    task = made(load)
    assert set(rows["all"].tolist()) == set(task.train.rows[task.train.present["tabular"]].tolist())
    held = torch.cat([task.val.rows, task.test.examples.rows])
    assert not torch.isin(rows["all"], held).any()
    two = seen(monkeypatch, source(load), source(numbers, "other", "source.other"))
    assert sorted(two) == ["other", "toy"]


def test_the_fingerprint_follows_the_form_and_the_head_its_name():
    plain = made(pairs)
    resized = source(pairs)
    small = prepare(resized, formats([resized], {"image": {"size": 4, "channels": None}}, ENCODERS, 0), 0)
    assert len({plain.fingerprint, small.fingerprint, made(pairs, seed=1).fingerprint}) == 3
    assert plain.data == small.data and plain.train.data != small.train.data
    mine = made(pairs, head="mine")
    assert mine.labels.key != plain.labels.key and mine.labels.classes == plain.labels.classes
    assert plain.notes["tabular"]["missing_values"] > 0 and plain.notes["examples"]["train"] == len(plain.train)
    assert made(partial(pairs, lacking=0.5)).data != plain.data


def of(name, rows, modality="image"):
    """Some rows of the data called `name`."""
    whole = pairs()
    index = torch.tensor(rows)
    inputs = {"image": whole.inputs["image"][index], "tabular": whole.inputs["tabular"][index]}
    return replace(whole, inputs=inputs, labels=whole.labels[index], origin={modality: (name, index)})


EVEN, ODD, ALL = (list(range(start, 120, step)) for start, step in ((0, 2), (1, 2), (0, 1)))


def test_the_same_original_data_with_other_splits_is_refused():
    target = made(partial(of, "recordings", ALL))
    need_disjoint([made(partial(of, "recordings", ALL))], target)
    need_disjoint([made(partial(of, "others", EVEN))], target)
    with pytest.raises(Problem, match="made of the same data, and the source uses .* test examples"):
        need_disjoint([made(partial(of, "recordings", EVEN))], target)
    need_disjoint([made(partial(of, "recordings", EVEN))], made(partial(of, "recordings", ODD)))


def test_only_what_is_read_has_an_origin():
    heard = made(partial(of, "recordings", EVEN))
    with pytest.raises(Problem, match="same data"):
        need_disjoint([heard], made(partial(of, "recordings", ALL), modalities=["image"]))
    need_disjoint([heard], made(partial(of, "recordings", ALL), modalities=["tabular"]))


def test_unlabelled_rows_of_a_source_count_too():
    # Its vocabulary and means come from all its training rows, however few labels it is given.
    target = made(pairs)
    need_disjoint([made(pairs, shots=1)], target)
    with pytest.raises(Problem, match="same data"):
        need_disjoint([made(pairs, shots=1, val=0.0, test=0.25)], target)


def test_texts_become_numbers_of_one_vocabulary():
    sources = [source(words), source(partial(words, seed=3), "other", "source.other")]
    given = formats(sources, SETTINGS, ENCODERS, 0)
    tasks = [prepare(each, given, 0) for each in sources]
    assert tasks[0].inputs == tasks[1].inputs
    assert isinstance(tasks[0].train.inputs["text"], Ragged) and tasks[0].train.lengths() is not None


def test_both_tasks_pull_at_the_common_trunk_and_each_at_its_own_parts():
    sources = [TaskSource("blobs", "source.blobs", blobs, {}, TaskOptions(head="other")),
               TaskSource("numbers", "target", numbers, {}, TaskOptions())]  # fmt: skip
    given = formats(sources, SETTINGS, ENCODERS, 0)
    source, target = (prepare(each, given, 0) for each in sources)
    encoders = {name: ENCODERS[name]({**source.inputs, **target.inputs}[name]) for name in ("image", "tabular")}
    heads = {each.labels.key: torch.nn.Linear(4, 3) for each in (source, target)}
    network = Network(encoders, Mean(dict.fromkeys(encoders, 8), width=None), heads, MlpTrunk(8, widths=[4]))
    for mine, theirs, task in (("image", "tabular", source), ("tabular", "image", target)):
        network.zero_grad()
        network(task.train.take(torch.arange(20))).square().sum().backward()
        pulled = {".".join(name.split(".")[:2]) for name, each in network.named_parameters() if each.grad is not None}
        assert pulled == {f"encoder.{mine}", "trunk.layers", f"head.{task.labels.key}"} and f"encoder.{theirs}" not in pulled


def test_a_run_over_sequences_goes_on_bit_identical(tmp_path):
    task = made(words)
    which = phase(batch_size=8, keep="best_target", steps=60)

    def go(folder):
        torch.manual_seed(0)
        encoder = Lstm(task.inputs["text"], embedding=6, width=6, dropout=0.3)
        network = Network({"text": encoder}, Concat({"text": 6}), {task.labels.key: torch.nn.Linear(6, 3)})
        return solve(folder, which, given=task, network=network)

    _, expected, lines = go(tmp_path / "whole")
    for stop in (5, 33):
        with stopped_at(stop), pytest.raises(Interrupted):
            go(tmp_path / "broken")
    _, entry, told = go(tmp_path / "broken")
    assert entry.digest == expected.digest and told == lines


@pytest.mark.parametrize("pick", ["first", "turned", "second"])
def test_the_fingerprint_takes_columns_as_they_lie_in_memory(pick):
    whole = torch.arange(8.0).reshape(4, 2)
    column = {"first": whole[:, :1], "turned": whole.T[:1].T, "second": whole[:, 1:]}[pick]

    def fingerprint(values, name):
        data = Raw({"tabular": values}, torch.arange(4) % 2, ("a", "b"), "t", columns=("x",))
        return raw(source(lambda: data, name=f"{pick}-{name}"))[1]

    assert fingerprint(column, "view") == fingerprint(column.clone(memory_format=torch.contiguous_format), "copy")
