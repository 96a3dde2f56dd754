"""Parts of a run by hand: a task, a network trained and measured outside of a run."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from toys.runs import tasks_in

import xlearn
from xlearn.encoders import Mlp
from xlearn.fusion import Concat
from xlearn.networks.network import tensors
from xlearn.objectives import Clip, Dann, Focal, Kd, SimClr, l2
from xlearn.runtime.errors import Problem


@pytest.fixture
def task(tmp_path):
    folder = tasks_in(tmp_path / "own", blobs="# Bright squares\n_target_: toys.tasks.blobs\n")[1]
    return xlearn.load_task("blobs", seed=3, config_dirs=folder, shots=8, val=0.25)


def small(task):
    torch.manual_seed(0)
    encoder = Mlp(task.inputs["image"], widths=[16])
    heads = {task.labels.key: nn.Linear(encoder.width, len(task.labels.classes))}
    return xlearn.Network({"image": encoder}, Concat({"image": encoder.width}), heads)


def test_a_task_is_that_of_the_run(task, toy):
    overrides, folder = [word for word in toy if "=" in word], toy[1]
    own = ["target=blobs", "source=none", "transfer=scratch", "seed=3", "target.shots=8", "target.val=0.25"]
    content = xlearn.run(*overrides, *own, config_dirs=folder).content
    assert content["data"]["target"]["fingerprint"] == task.fingerprint and isinstance(task, xlearn.Task)


def test_options_are_written_in_the_grammar_of_overrides(tmp_path):
    folder = tasks_in(tmp_path / "own", blobs="# Bright squares\n_target_: toys.tasks.blobs\n")[1]
    classes = list(xlearn.load_task("blobs", config_dirs=folder).labels.classes)[:2]
    found = xlearn.load_task("blobs", "image.size=6", config_dirs=[Path(folder)], classes=classes, shots=None)
    assert list(found.labels.classes) == classes and found.inputs["image"].height == 6
    groups = {"low": [classes[0]], "others": [classes[1]]}
    assert list(xlearn.load_task("blobs", config_dirs=folder, groups=groups).labels.classes) == ["low", "others"]
    number = numpy.int64(4)
    assert xlearn.load_task("blobs", config_dirs=folder, shots=number, seed=number).notes["split"]["draw"] == 4
    with pytest.raises(Problem, match="load_task: target=others: pass the name and the seed as arguments, not as overrides"):
        xlearn.load_task("blobs", "target=others", config_dirs=folder)


def test_a_network_trained_by_hand(task):
    network, again = small(task), small(task)
    losses = xlearn.fit(network, task, steps=40, batch_size=8, seed=1)
    assert len(losses) == 40 and losses[0].keys() == {"target"} and losses[-1]["target"] < 0.9 * losses[0]["target"]
    assert xlearn.fit(again, {"target": task}, steps=40, batch_size=8, seed=1) == losses
    slow = partial(torch.optim.SGD, lr=0.1)
    other = xlearn.fit(small(task), task, steps=2, objective=partial(Focal, gamma=2.0), optimizer=slow)
    assert other[0]["target"] != losses[0]["target"]

    def mine(network, batches):
        return {"mine": network(batches["target"]).square().mean()}

    assert xlearn.fit(small(task), task, steps=1, objective=mine)[0].keys() == {"mine"}


def test_frozen_parameters_stay(task):
    network = small(task)
    network.encoder.requires_grad_(False)
    before = tensors(network)
    xlearn.fit(network, task, steps=3)
    after = tensors(network)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        name for name in before if "head" in name
    }
    network.requires_grad_(False)
    with pytest.raises(Problem, match="no parameter of the network requires a gradient"):
        xlearn.fit(network, task, steps=1)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        (SimClr, "fit: SimClr needs two views of every example, which a run gives it"),
        (Dann, "fit: Dann needs unlabelled examples"),
        (partial(Kd, temperature=2.0), "fit: Kd needs a teacher"),
        (Clip, "fit: Clip needs pairs of modalities"),
        (l2, "fit: l2: .*strength.* Give a partial"),
        (nn.CrossEntropyLoss(), "fit: objective=CrossEntropyLoss: give a function"),
    ],
)
def test_what_labelled_examples_alone_do_not_give_is_refused(task, objective, told):
    with pytest.raises(Problem, match=told):
        xlearn.fit(small(task), task, steps=1, objective=objective)


def test_a_mistake_leaves_the_test_split_closed(task):
    torch.manual_seed(0)
    spec = replace(task.inputs["image"], height=9)
    encoder = Mlp(spec, widths=[16])
    wrong = xlearn.Network(
        {"image": encoder}, Concat({"image": 16}), {task.labels.key: nn.Linear(16, len(task.labels.classes))}
    )
    with pytest.raises(Problem, match="cannot read the examples of blobs .* The test split stays closed"):
        xlearn.evaluate(wrong, task, split="test")
    with pytest.raises(Problem, match="evaluate: give a network"):
        xlearn.evaluate([], task, split="test")
    assert xlearn.evaluate(small(task), task, split="test")["accuracy"] >= 0
    assert "tensor" not in repr(task)


def test_metrics_of_splits_and_the_test_split_once(task):
    first, second = small(task), small(task)
    xlearn.fit(second, task, steps=40, batch_size=8)
    assert xlearn.evaluate(second, task)["accuracy"] > xlearn.evaluate(first, task)["accuracy"]
    assert xlearn.evaluate(second, task, split="train")["accuracy"] > 0.9
    found = xlearn.evaluate([first, second], task, split="test")
    assert len(found) == 2 and found[1]["accuracy"] > found[0]["accuracy"]
    with pytest.raises(Problem, match="the test split of blobs was opened before"):
        xlearn.evaluate(first, task, split="test")
    with pytest.raises(Problem, match="split='valid': choose among train, val, test"):
        xlearn.evaluate(first, task, split="valid")


def test_what_cannot_be_trained_or_measured_is_told(task, tmp_path):
    folder = tasks_in(tmp_path / "own", blobs="# Bright squares\n_target_: toys.tasks.blobs\n")[1]
    unlabelled = xlearn.load_task("blobs", config_dirs=folder, shots=0)
    with pytest.raises(Problem, match=r"blobs has no labelled training example \(target\). Raise its shots"):
        xlearn.fit(small(task), unlabelled, steps=1)
    with pytest.raises(Problem, match="no example in its train split"):
        xlearn.evaluate(small(task), unlabelled, split="train")
    with pytest.raises(Problem, match="fit: steps=0: give 1 or more"):
        xlearn.fit(small(task), task, steps=0)
    with pytest.raises(Problem, match=r"fit builds the optimizer itself. Give a partial"):
        xlearn.fit(small(task), task, steps=1, optimizer=torch.optim.SGD(small(task).parameters(), lr=0.1))
    with pytest.raises(Problem, match=r"fit: Linear is no xlearn.Network"):
        xlearn.fit(nn.Linear(2, 2), task, steps=1)
    network = small(task)
    network.head = nn.ModuleDict({"others": nn.Linear(16, 3)})
    with pytest.raises(Problem, match="the network has others"):
        xlearn.fit(network, task, steps=1)
