"""Phases that read several tasks: interrupted they end with the same bits, and their address covers what they depend on."""

from functools import partial

import pytest
import torch
from toys.networks import image_network
from toys.phases import phase, solve, stopped_at
from toys.sharings import SHARINGS
from toys.tasks import blobs, prepared, shifted_tasks

from xlearn.balance._equal import equal
from xlearn.balance.dwa import DynamicWeightAverage
from xlearn.balance.famo import Famo
from xlearn.balance.gradnorm import GradNorm
from xlearn.networks.network import tensors
from xlearn.objectives.regularization.l2 import l2
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.phase import rates
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.errors import Interrupted
from xlearn.sharing.together import join
from xlearn.trainable._frozen import frozen
from xlearn.trainable._head_and_backbone import head_and_backbone


def roles():
    """A source, another made of the same images with half of the labels, and a brighter target."""
    tasks = shifted_tasks(shots=5)
    halves = {"first": ["c0"], "other": ["c1", "c2"]}
    tasks["source"]["first"] = prepared(blobs, "first", "source.first", groups=halves, fraction=0.5)
    return tasks


def network(sharing, tasks, statistics="shared"):
    made = image_network(tasks["target"]["target"].train, dropout=0.2)
    every = {**tasks["source"], **tasks["target"]}
    for task in every.values():
        made.head[task.labels.key] = torch.nn.Linear(8, len(task.labels.classes))
    torch.manual_seed(1)
    join(made, SHARINGS[sharing], every, statistics)
    return made


def learned(folder, which, sharing="cross_stitch", **options):
    tasks = roles()
    return solve(folder, which, roles=tasks, network=network(sharing, tasks), **options)


def joint(**values):
    return phase(**{"reads": "both", "keep": "best_each", **values})


@pytest.mark.parametrize(
    ("sharing", "values"),
    [
        ("cross_stitch", {"balance": partial(DynamicWeightAverage, every=3)}),
        ("mmoe", {"balance": partial(Famo)}),
        ("lora", {"balance": partial(GradNorm, initial=5)}),
        ("progressive", {"tasks": "temperature", "temperature": 2.0, "balance": partial(equal), "keep": "best_mean"}),
    ],
)
def test_an_interrupted_phase_ends_with_the_same_bits(tmp_path, sharing, values):
    straight, whole, seen = learned(tmp_path / "whole", joint(**values), sharing)
    with stopped_at(17), pytest.raises(Interrupted, match="of 40"):
        learned(tmp_path / "parts", joint(**values), sharing)
    resumed, entry, lines = learned(tmp_path / "parts", joint(**values), sharing)
    assert entry.digest == whole.digest
    assert weights_digest(tensors(resumed)) == weights_digest(tensors(straight))
    assert entry.others.keys() == whole.others.keys()
    assert all(weights_digest(each) == weights_digest(whole.others[role]) for role, each in entry.others.items())
    assert lines[-1] == seen[-1]


def test_how_tasks_are_weighed_and_drawn_is_part_of_the_address_of_several_only(tmp_path):
    def key(**values):
        return learned(tmp_path, joint(**values), "hard")[1].report["key"]

    assert len({key(), key(balance=partial(DynamicWeightAverage)), key(tasks="equal")}) == 3
    alone = [key(reads="target", keep="last"), key(reads="target", keep="last", balance=partial(DynamicWeightAverage))]
    assert alone[0] == alone[1]


def test_mixing_weights_learn_at_a_rate_of_their_own():
    made = network("cross_stitch", roles())
    found = rates(joint(), made)
    mixing = {name: rate.multiplier for name, rate in found.items() if ".mix." in name}
    assert mixing and set(mixing.values()) == {10.0}
    assert {rate.multiplier for name, rate in found.items() if ".mix." not in name} == {1.0}


def test_losses_of_tasks_with_missing_labels_are_told_by_task(tmp_path):
    _, entry, lines = learned(tmp_path, joint(keep="last"), "hard")
    assert {*lines[0]["losses"]} == {"blobs", "first", "target"}
    assert {*lines[0]["cosines"]} == {"blobs first", "blobs target", "first target"}
    assert entry.others == {}


def test_penalties_move_only_what_the_phase_learns(tmp_path):
    """Columns of the sources are finished: neither a regularizer nor a soft penalty changes them while the target trains."""
    for sharing in ("progressive", "soft"):
        tasks, which = roles(), phase(objectives=(partial(CrossEntropy), partial(l2, strength=0.1)))
        made = network(sharing, tasks)
        before = tensors(made)
        _, entry, _ = solve(tmp_path / sharing, which, roles=tasks, network=made)
        copies = [name for name in before if ".copies." in name]
        assert copies and all(torch.equal(entry.weights[name], before[name]) for name in copies)
        assert not torch.equal(entry.weights["encoder.image.blocks.0.0.weight"], before["encoder.image.blocks.0.0.weight"])


def test_what_a_task_has_for_itself_trains_as_what_it_stands_in_for():
    made = network("hard", roles())
    heads = rates(joint(trainable=partial(head_and_backbone, head=1.0, backbone=0.0)), made)
    assert {name for name, _ in made.named_parameters() if "head" in name} == heads.keys()
    made = network("none", roles())
    still = rates(joint(trainable=partial(frozen, patterns=["encoder.*"])), made)
    assert still and not [name for name in still if "encoder" in name]
