"""How a phase ends, what it keeps, and what it refuses."""

from functools import partial
from pathlib import Path

import pytest
import torch
from toys.networks import image_network
from toys.phases import CPU, phase, solve
from toys.tasks import blobs, blobs_task, image_format

from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.encoders.mlp import Mlp
from xlearn.networks.network import tensors
from xlearn.phases.feasible import check
from xlearn.runtime.errors import Problem
from xlearn.trainable._head_and_backbone import head_and_backbone


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
    from xlearn.networks.evaluate import logits

    val = blobs_task().val
    accuracy = (logits(network, val, CPU).argmax(1) == val.labels).double().mean()
    assert float(accuracy) == scores[kept]


def test_stop_below(tmp_path):
    _, entry, lines = solve(tmp_path, phase(steps=400, stop_below=0.2), evaluations=50)
    assert entry.report["steps"] < 400
    assert lines[-1]["losses"]["target"] < 0.2 <= lines[-2]["losses"]["target"]


def test_keep_needs_validation_examples(tmp_path):
    with pytest.raises(Problem, match="need validation examples"):
        solve(tmp_path, phase(keep="best_target"), given=blobs_task(val=0.0))


def test_a_probe_reads_features_computed_once(tmp_path, monkeypatch):
    probe = phase(trainable=partial(head_and_backbone, head=1.0, backbone=0.0))
    calls = []
    forward = Mlp.forward

    def counted(self, images):
        calls.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Mlp, "forward", counted)
    given = blobs_task()
    _, entry, _ = solve(tmp_path, probe, given=given)
    assert sum(calls) == len(given.train) + len(given.val)
    before = image_network(given.train)
    frozen = {name for name, value in tensors(before).items() if torch.equal(value, entry.weights[name])}
    assert frozen == {name for name in entry.weights if not name.startswith("head.")}


def test_a_probe_on_features_equals_a_probe_on_images(tmp_path):
    """An augmentation that changes nothing forces the slow path."""

    def same(batch, generator):
        return batch

    trainable = partial(head_and_backbone, head=1.0, backbone=0.0)
    fast, _, _ = solve(tmp_path, phase(trainable=trainable))
    slow, _, _ = solve(tmp_path, phase(trainable=trainable, augment=(partial(same),)))
    for name, value in tensors(slow).items():
        torch.testing.assert_close(tensors(fast)[name], value, atol=1e-5, rtol=1e-4)


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    """The loss of the last step is of the weights before it."""

    def steep(network, batches):
        return {"steep": network(batches["target"]).sum() * 1e30}

    with pytest.raises(Problem, match=r"no longer finite after phase learn \(1 steps\)"):
        solve(tmp_path, phase(steps=1, objectives=(partial(steep),), optimizer=partial(torch.optim.SGD, lr=1e20)))
    assert not list(Path(tmp_path).rglob("entry.json"))


def test_batches_of_one_and_batch_normalisation():
    given = blobs_task()
    network = image_network(given.train)
    network.encoder["image"].blocks[0].append(torch.nn.BatchNorm1d(16))
    roles = {"source": {}, "target": {"target": given}}
    check(phase(), network, roles)
    with pytest.raises(Problem, match="the target has batches of one example, but batch normalisation needs two"):
        check(phase(batch_size=1), network, roles)
    with pytest.raises(Problem, match="reads the source, but there is none"):
        check(phase(reads="source"), network, roles)


def test_the_judge_needs_a_head():
    given = blobs_task()
    two = TaskSource("blobs", "source", lambda: blobs(classes=2), {"classes": 2}, TaskOptions())
    roles = {"source": {"blobs": prepare(two, image_format(), 0)}, "target": {"target": given}}
    with pytest.raises(Problem, match="no head for the classes of blobs"):
        check(phase(keep="best_source"), image_network(given.train), roles)
