"""Phases through the cache: computed once, kept by the right rule, refused when the loss is not finite."""

import json
import os
import signal
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import toys

from xlearn import interrupt, phases
from xlearn.balance.equal import equal
from xlearn.cache import Cache, weights_digest
from xlearn.errors import Interrupted, Problem
from xlearn.network import tensors
from xlearn.objectives.cross_entropy import CrossEntropy
from xlearn.phase import Phase
from xlearn.prepare import TaskSource, prepare
from xlearn.schedules.constant import constant
from xlearn.task import ImageSpec
from xlearn.task_options import TaskOptions
from xlearn.trainable.head_and_backbone import head_and_backbone


def task(**options):
    source = TaskSource("blobs", "target", toys.blobs, {}, TaskOptions(**options))
    return prepare(source, ImageSpec(1, 6, 6), 0)


def phase(**values):
    defaults = {
        "name": "learn", "position": 0, "reads": "target", "trainable": None, "objectives": (partial(CrossEntropy),),
        "balance": partial(equal), "optimizer": partial(torch.optim.Adam, lr=0.01, fused=True),
        "schedule": partial(constant), "augment": (), "batch_size": 16, "balanced": False, "epochs": None, "steps": 40,
        "patience": None, "stop_below": None, "keep": "last",
    }  # fmt: skip
    made = {**defaults, **values}
    return Phase(**made, document={"values": repr(sorted(made.items(), key=str))})


def solve(folder, which, *, given=None, network=None, **options):
    given = given or task()
    network = network or toys.network(given.train)
    lines = []
    setting = toys.setting(folder, report=lines.append, **options)
    incoming = weights_digest(tensors(network))
    entry = phases.solve(network, which, {"source": {}, "target": {"target": given}}, frozenset(), incoming, setting)
    return network, entry, lines


def test_a_phase_is_computed_once(tmp_path):
    first, entry, lines = solve(tmp_path, phase())
    second, again, repeated = solve(tmp_path, phase())
    assert not entry.report["cached"]
    assert again.report["cached"]
    assert weights_digest(tensors(first)) == weights_digest(tensors(second)) == entry.digest == again.digest
    assert [line["step"] for line in lines] == [8, 16, 24, 32, 40]
    assert repeated == [{**line, "cached": True} for line in lines]
    assert lines[-1]["target_val_accuracy"] > 0.9


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 41}, {"batch_size": 8}, {"optimizer": partial(torch.optim.Adam, lr=0.02)},
        {"trainable": partial(head_and_backbone, head=1.0, backbone=0.0)},
    ],
)  # fmt: skip
def test_whatever_determines_a_phase_changes_its_address(tmp_path, change):
    keys = {solve(tmp_path, each)[1].report["key"] for each in (phase(), phase(**change))}
    assert len(keys) == 2


def test_seed_and_data_change_the_address(tmp_path):
    plain = solve(tmp_path, phase())[1].report["key"]
    assert solve(tmp_path, phase(), seed=1)[1].report["key"] != plain
    assert solve(tmp_path, phase(), given=task(shots=3))[1].report["key"] != plain


@pytest.mark.parametrize("damage", ["truncate", "flip", "json", "missing"])
def test_a_damaged_entry_is_noticed_and_computed_again(tmp_path, capsys, damage):
    _, entry, _ = solve(tmp_path, phase())
    folder = Cache(tmp_path).folder(entry.report["key"])
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "truncate":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[-3] ^= 1
        weights.write_bytes(content)
    elif damage == "json":
        (folder / "entry.json").write_text("{", encoding="utf-8")
    else:
        weights.unlink()
    _, again, _ = solve(tmp_path, phase())
    assert not again.report["cached"]
    assert again.digest == entry.digest
    assert "damaged" in capsys.readouterr().out


def test_force_computes_again_once_per_command(tmp_path):
    solve(tmp_path, phase())
    done = set()
    _, again, _ = solve(tmp_path, phase(), recomputed=done)
    assert not again.report["cached"]
    _, third, _ = solve(tmp_path, phase(), recomputed=done)  # another run of the same sweep
    assert third.report["cached"]


def test_a_loss_that_is_not_finite_names_phase_and_step(tmp_path):
    def breaks(network, batches):
        breaks.calls += 1
        value = network(batches["target"]).sum() * 0
        return {"fragile": value + (float("nan") if breaks.calls == 11 else 1.0)}

    breaks.calls = 0
    with pytest.raises(Problem, match=r"'fragile' became nan in phase learn at step 11 of 40") as caught:
        solve(tmp_path, phase(objectives=(partial(breaks),)))
    assert "optimizer.lr" in str(caught.value)


def test_best_is_kept_and_patience_ends(tmp_path):
    """A learning rate that destroys what was learned: the best weights are earlier ones."""

    def destroys(step, steps):
        return 1.0 if step < 20 else 1000.0

    which = phase(steps=200, keep="best_target", patience=2, schedule=partial(destroys))
    network, entry, lines = solve(tmp_path, which, evaluations=20)
    scores = {line["step"]: line["target_val_accuracy"] for line in lines}
    kept = entry.report["kept_step"]
    assert scores[kept] == max(scores.values())
    assert entry.report["steps"] == list(scores)[list(scores).index(kept) + 2] < 200
    from xlearn.evaluate import logits

    val = task().val
    accuracy = (logits(network, val, toys.CPU).argmax(1) == val.labels).double().mean()
    assert float(accuracy) == scores[kept]


def test_stop_below(tmp_path):
    _, entry, lines = solve(tmp_path, phase(steps=400, stop_below=0.2), evaluations=50)
    assert entry.report["steps"] < 400
    assert lines[-1]["losses"]["target"] < 0.2 <= lines[-2]["losses"]["target"]


def test_keep_needs_validation_examples(tmp_path):
    with pytest.raises(Problem, match="need validation examples"):
        solve(tmp_path, phase(keep="best_target"), given=task(val=0.0))


def test_a_probe_reads_features_computed_once(tmp_path, monkeypatch):
    probe = phase(trainable=partial(head_and_backbone, head=1.0, backbone=0.0))
    calls = []
    forward = toys.Mlp.forward

    def counted(self, images):
        calls.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(toys.Mlp, "forward", counted)
    given = task()
    _, entry, _ = solve(tmp_path, probe, given=given)
    assert sum(calls) == len(given.train) + len(given.val)
    before = toys.network(given.train)
    frozen = {name for name, value in tensors(before).items() if torch.equal(value, entry.weights[name])}
    assert frozen == {name for name in entry.weights if not name.startswith("head.")}


def test_a_probe_on_features_equals_a_probe_on_images(tmp_path):
    """An augmentation that changes nothing forces the slow path."""

    def same(batch, generator):
        return batch

    trainable = partial(head_and_backbone, head=1.0, backbone=0.0)
    fast, _, _ = solve(tmp_path, phase(trainable=trainable))
    slow, _, _ = solve(tmp_path, phase(trainable=trainable, augment=(same,)))
    for name, value in tensors(slow).items():
        torch.testing.assert_close(tensors(fast)[name], value, atol=1e-5, rtol=1e-4)


def test_stopping_saves_and_going_on_is_bit_identical(tmp_path):
    _, expected, lines = solve(tmp_path / "whole", phase(keep="best_target"))
    for stops in ([1], [7, 8], [13, 29, 39]):
        folder = tmp_path / str(stops)
        for stop in stops:
            with interrupt.listening(), pytest.raises(Interrupted, match=f"step {stop} of 40"):
                _stop_at(stop, lambda folder=folder: solve(folder, phase(keep="best_target")))
        _, entry, told = solve(folder, phase(keep="best_target"))
        assert entry.digest == expected.digest
        assert told == lines
        assert not (Cache(folder).folder(entry.report["key"]) / "resume.pt").exists()


def _stop_at(step, go):
    """Send SIGINT from between two steps, at the step."""
    real = phases.fit

    def stopping(*arguments, **options):
        for record in real(*arguments, **options):
            if record.step == step:
                os.kill(os.getpid(), signal.SIGINT)
            yield record

    phases.fit = stopping
    try:
        go()
    finally:
        phases.fit = real


def test_a_damaged_state_starts_the_phase_again(tmp_path, capsys):
    with interrupt.listening(), pytest.raises(Interrupted):
        _stop_at(9, lambda: solve(tmp_path, phase()))
    [state] = Path(tmp_path).rglob("resume.pt")
    state.write_bytes(b"nothing")
    _, entry, _ = solve(tmp_path, phase())
    assert entry.digest == solve(tmp_path / "other", phase())[1].digest
    assert "damaged" in capsys.readouterr().out


def test_two_that_want_one_phase_compute_it_once(tmp_path):
    """Threads stand for processes: the lock is on the file, and each has its own handle."""
    entries = []
    which, given = phase(steps=150), task()
    networks = [toys.network(given.train) for _ in range(2)]  # made before: threads share the random state

    def go(network):
        entries.append(solve(tmp_path, which, given=given, network=network)[1])

    threads = [threading.Thread(target=go, args=(network,)) for network in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.report["cached"] for entry in entries) == [False, True]
    assert entries[0].digest == entries[1].digest


def test_the_entry_says_what_it_was_made_of(tmp_path):
    _, entry, _ = solve(tmp_path, phase())
    written = json.loads((Cache(tmp_path).folder(entry.report["key"]) / "entry.json").read_text(encoding="utf-8"))
    assert set(written["document"]) >= {"phase", "network", "incoming", "data", "seed", "machine", "code"}
    assert written["seconds"] > 0
    assert written["peak_memory"] > 1e6


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    """The loss of the last step is of the weights before it."""

    def steep(network, batches):
        return {"steep": network(batches["target"]).sum() * 1e30}

    with pytest.raises(Problem, match=r"no longer finite after phase learn \(1 steps\)"):
        solve(tmp_path, phase(steps=1, objectives=(partial(steep),), optimizer=partial(torch.optim.SGD, lr=1e20)))
    assert not list(Path(tmp_path).rglob("entry.json"))


def test_batches_of_one_and_batch_normalisation():
    from xlearn.phase import check

    given = task()
    network = toys.network(given.train)
    network.encoder["image"].blocks[0].append(torch.nn.BatchNorm1d(16))
    roles = {"source": {}, "target": {"target": given}}
    check(phase(), network, roles)
    with pytest.raises(Problem, match="batches of one example of the target, and batch normalisation needs two"):
        check(phase(batch_size=1), network, roles)
    with pytest.raises(Problem, match="reads the source, and there is none"):
        check(phase(reads="source"), network, roles)


def test_the_judge_needs_a_head():
    from xlearn.phase import check

    given = task()
    two = TaskSource("blobs", "source", lambda: toys.blobs(classes=2), {"classes": 2}, TaskOptions())
    roles = {"source": {"blobs": prepare(two, ImageSpec(1, 6, 6), 0)}, "target": {"target": given}}
    with pytest.raises(Problem, match="no head for the classes of blobs"):
        check(phase(keep="best_source"), toys.network(given.train), roles)


def test_sealed_test_split_opens_once():
    given = task()
    given.test.open()
    with pytest.raises(RuntimeError, match="already used"):
        given.test.open()
    assert len(replace(given.test).examples) > 0
