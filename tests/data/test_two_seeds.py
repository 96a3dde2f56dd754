"""The two seeds of a run: `target.draw` decides which rows are what, `seed` everything else."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys.runs import results
from toys.tasks import blobs, image_format, parts

import xlearn
from xlearn.commands.single import content_of
from xlearn.commands.train import main
from xlearn.config.compose import register
from xlearn.config.folders import conf_folder, options
from xlearn.config.schema import identity
from xlearn.data.leakage import need_disjoint
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource, rows
from xlearn.plan.build import build, tasks
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import read_tensors

# Digests of the rows of all built-in tasks, recorded before `target.draw` was a key. They must never change.
RECORDED = json.loads((Path(__file__).parent / "recorded_splits.json").read_text(encoding="utf-8"))
EVERY = {"shots": None, "fraction": None}
VARIANTS = {
    "default": {},
    "one shot": {"shots": 1, "fraction": None},
    "no labels": {"shots": 0, "fraction": None},
    "all, validation .3": {**EVERY, "val": 0.3, "test": 0.1},
    "a third of the labels": {**EVERY, "fraction": 0.33},
    "long tail": {**EVERY, "imbalance": 0.1},
    "fold 1 of 3": {**EVERY, "folds": 3, "fold": 1},
}


def source_of(*words):
    """The target of a command as it is before it is loaded."""
    register([])
    return tasks(content_of(words, [])[0])[-1]


def summed(source, seed):
    """The digest of the rows of a task's splits in a run of this seed, or that the split is refused."""
    try:
        found = rows(source, seed)
    except Problem:
        return "refused"
    content = hashlib.blake2b(digest_size=8)
    for part in ("train", "val", "test", "unlabeled"):
        content.update(part.encode())
        content.update(getattr(found, part).numpy().tobytes())
    return content.hexdigest()


# Their data take seconds to load.
SLOW = ("bbc_news", "emoji", "japanese_vowels", "reviews_zh_", "sentiment_", "sms_spam", "spoken_digits")
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name.startswith(SLOW) else [])
    for name in sorted(options("task", [conf_folder()]))
]


@pytest.mark.parametrize("name", NAMES)
def test_splits_stay_bit_for_bit(name):
    try:
        source = source_of(f"target={name}")
        rows(replace(source, options=TaskOptions()), 0)
    except Problem as problem:
        assert name not in RECORDED, f"{name} was recorded, and cannot be loaded: {problem}"
        pytest.skip(f"{name}: no data here ({problem})")
    if name not in RECORDED:
        pytest.skip(f"{name}: no data were there when digests were recorded")
    for seed in (0, 7):
        for words, given in VARIANTS.items():
            # The texts of some data have near copies, which stay together by default.
            rule = "together" if name.startswith(("mnist", "fsdd", "optdigits", "omniglot", "emoji")) else "keep"
            chosen = replace(source.options, duplicates=rule, **given)
            recorded = RECORDED[name][f"{words}, seed {seed}"]
            assert summed(replace(source, options=chosen), seed) == recorded, f"{words}, seed {seed}"
            # A draw gives the rows that a seed of this number gave, whatever the seed.
            if words == "default":
                assert summed(replace(source, options=replace(chosen, draw=seed)), 3) == recorded


def toy_source(where="target", **given):
    return TaskSource("toy", where, blobs, {}, TaskOptions(shots=5, **given))


def test_without_a_draw_the_seed_draws_and_with_one_it_does_not():
    assert parts(rows(toy_source(), 4)) == parts(rows(toy_source(draw=4), 0)) == parts(rows(toy_source(draw=4), 9))
    assert parts(rows(toy_source(draw=4), 0)) != parts(rows(toy_source(draw=5), 0))


def test_a_task_is_the_same_whoever_set_its_draw():
    """Its fingerprint, on which cached phases depend, and its notes do not show whether seed or draw was set."""
    by_seed, by_draw = prepare(toy_source(), image_format(), 4), prepare(toy_source(draw=4), image_format(), 0)
    assert by_seed.fingerprint == by_draw.fingerprint and by_seed.notes == by_draw.notes
    assert by_draw.notes["split"]["draw"] == 4
    assert prepare(toy_source(draw=4), image_format(), 0).fingerprint != prepare(toy_source(), image_format(), 0).fingerprint


def test_sources_follow_the_draw_of_the_target_unless_they_have_their_own():
    register([])

    def draws(*words):
        components = build(content_of(["source=[mnist5k,fsdd]", "target=optdigits", *words], [])[0])
        return {each.name: each.draw(components.options.seed) for each in (*components.sources, components.target)}

    assert draws("seed=3") == {"mnist5k": 3, "fsdd": 3, "optdigits": 3}
    assert draws("seed=3", "target.draw=1") == {"mnist5k": 1, "fsdd": 1, "optdigits": 1}
    assert draws("seed=3", "target.draw=1", "source.fsdd.draw=0") == {"mnist5k": 1, "fsdd": 0, "optdigits": 1}
    assert draws("seed=3", "source.fsdd.draw=0") == {"mnist5k": 3, "fsdd": 0, "optdigits": 3}


def test_source_and_target_of_the_same_data_agree_about_their_test_rows():
    target = prepare(toy_source(draw=2), image_format(), 0)
    same = prepare(toy_source("source.toy", draw=2), image_format(), 0)
    assert torch.equal(same.test.examples.rows, target.test.examples.rows)
    need_disjoint([same], target)
    other = prepare(toy_source("source.toy", draw=3), image_format(), 0)
    with pytest.raises(Problem, match="test examples of the target. Give both the same draw"):
        need_disjoint([other], target)


def test_an_unset_draw_leaves_the_digest_of_a_run_as_it_was():
    config = {"seed": 0, "target": {"_target_": "a", "shots": 5, "imbalance": None}, "source": {"b": {"_target_": "b"}}}
    later = {**config, "target": {**config["target"], "draw": None}, "source": {"b": {"_target_": "b", "draw": None}}}
    assert identity(later) == identity(config)
    assert identity({**later, "target": {**later["target"], "draw": 0}}) != identity(config)


@pytest.mark.parametrize(("value", "told"), [(-1, "target.draw=-1: give 0 to"), (2**63, "give 0 to 2\\^63 - 1")])
def test_a_draw_out_of_range_is_refused(value, told):
    with pytest.raises(Problem, match=told):
        rows(toy_source(draw=value), 0)


def test_a_draw_of_a_target_of_episodes_is_refused(toy, capsys):
    words = ["pretrain=protonet", "transfer=episodes_centroid", "target.draw=1", "episodes.ways=2"]
    assert main([*toy, *words]) == 1
    assert "target.draw=1: all examples of a target of episodes are measured" in capsys.readouterr().err


def test_a_run_of_another_seed_and_the_same_draw_measures_the_same_rows(toy, capsys):
    short = ["transfer=scratch", "source=none", "budget.transfer.steps=2", "budget.transfer.epochs=null"]
    for seed, draw in ((0, 0), (1, 0), (0, 1)):
        assert main([*toy, *short, f"seed={seed}", f"target.draw={draw}"]) == 0
    assert f"seed {seed}, draw {draw}" in capsys.readouterr().out
    found = {}
    for folder, result in results().items():
        key = result["config"]["seed"], result["config"]["target"]["draw"]
        assert result["data"]["target"]["split"]["draw"] == key[1]
        tensors = read_tensors(folder / "predictions.safetensors")
        found[key] = tensors["rows"].tolist(), tensors["logits"].tolist()
    assert found[0, 0][0] == found[1, 0][0] != found[0, 1][0]
    assert found[0, 0][1] != found[1, 0][1]


def test_the_draw_is_an_option_of_a_task_from_python():
    one, other = xlearn.load_task("optdigits", shots=2, draw=5), xlearn.load_task("optdigits", shots=2, seed=5)
    assert one.fingerprint == other.fingerprint and one.train.rows.tolist() == other.train.rows.tolist()
