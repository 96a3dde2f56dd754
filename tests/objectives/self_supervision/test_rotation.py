"""Rotation prediction."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn
from toys.contexts import batch_of
from toys.modalities import related_context

from xlearn.data.task import ImageSpec, VectorSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.rotation import Rotation, turned
from xlearn.runtime.errors import Problem

SQUARE = ImageSpec(2, 6, 6)


def square(*others, present=None):
    context, net = related_context("image", *others, image=SQUARE, present=present)
    batch = batch_of(context)[UNLABELED]
    return context, net, replace(batch, inputs={**batch.inputs, "image": batch.inputs["image"][..., :6]})


def test_every_image_is_there_in_four_rotations_as_numpy_turns_them():
    _, _, batch = square()
    found = turned(batch)
    images = batch.inputs["image"].numpy()
    expected = numpy.concatenate([numpy.rot90(images, quarter, (2, 3)) for quarter in range(4)])
    assert len(found) == 64 and found.memo == {} and found.inputs["image"].dtype == torch.uint8
    assert numpy.array_equal(found.inputs["image"].numpy(), expected)


def test_who_cannot_tell_has_the_entropy_of_four_angles():
    context, net, batch = square()
    objective = Rotation(context)
    for parameter in objective.parameters():
        nn.init.zeros_(parameter)
    assert objective(net, {UNLABELED: batch})[f"rotation_{UNLABELED}"].item() == pytest.approx(math.log(4))


def test_whoever_sees_where_the_bright_corner_is_has_no_loss():
    context, net, batch = square()
    images = torch.zeros(16, 2, 6, 6, dtype=torch.uint8)
    images[:, :, 0, 0] = 255
    # Turned counterclockwise the bright corner goes from top left to bottom left, bottom right, top right.
    corners = [(0, 0), (5, 0), (5, 5), (0, 5)]
    net.features = lambda batch: torch.stack([batch.inputs["image"][:, 0, row, column] for row, column in corners], 1).float()
    objective = Rotation(context)
    objective.classifier = nn.Linear(4, 4, bias=False)
    objective.classifier.weight.data = torch.eye(4)
    given = replace(batch, inputs={"image": images})
    assert objective(net, {UNLABELED: given})[f"rotation_{UNLABELED}"].item() < 1e-6
    objective.classifier.weight.data = torch.eye(4).roll(1, 0)
    assert objective(net, {UNLABELED: given})[f"rotation_{UNLABELED}"].item() == pytest.approx(255)


def test_examples_without_an_image_do_not_count_and_other_modalities_are_not_read():
    there = torch.arange(40) % 4 != 0
    context, net, batch = square("tabular", present={"image": there})
    objective = Rotation(context)
    one = objective(net, {UNLABELED: batch})[f"rotation_{UNLABELED}"]
    images = torch.where(there[:16, None, None, None], batch.inputs["image"], 255)
    other = replace(batch, inputs={"image": images, "tabular": batch.inputs["tabular"] + 5}, memo={})
    assert torch.equal(objective(net, {UNLABELED: other})[f"rotation_{UNLABELED}"], one)
    few = {"image": batch.inputs["image"][there[:16]], "tabular": batch.inputs["tabular"][there[:16]]}
    only = replace(batch, inputs=few, labels=batch.labels[there[:16]], present={}, memo={})
    assert objective(net, {UNLABELED: only})[f"rotation_{UNLABELED}"].item() == pytest.approx(one.item(), rel=1e-5)
    none = replace(batch, present={"image": torch.zeros(16, dtype=torch.bool)}, memo={})
    assert objective(net, {UNLABELED: none})[f"rotation_{UNLABELED}"].item() == 0


def test_the_network_and_the_classifier_learn():
    context, net, batch = square()
    ramp = torch.arange(36).view(6, 6) * 7
    batch = replace(batch, inputs={"image": (batch.inputs["image"] // 8 + ramp).clamp_max(255).byte()})
    objective = Rotation(context)
    optimizer = torch.optim.Adam([*net.encoder.parameters(), *objective.parameters()], lr=0.01)
    for _ in range(40):
        [loss] = objective(net, {UNLABELED: batch}).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_the_monitor_tells_of_the_images_as_they_are():
    context, net, batch = square()
    objective = Rotation(context)
    objective(net, {UNLABELED: batch})
    assert torch.equal(objective.monitor.last[UNLABELED], net.features(replace(batch, memo={})))
    assert objective.log()["embedding"][UNLABELED]["width"] == net.width and Rotation.needs.batch == 2


@pytest.mark.parametrize(
    ("names", "specs", "told"),
    [
        (["image"], {}, "those of toy are 6 x 7. Set image.size"),
        (["tabular"], {}, "toy has only tabular"),
        (["image"], {"image": VectorSpec(5, "some network")}, "Choose encoder/image=cnn"),
    ],
)
def test_what_cannot_be_turned_is_refused(names, specs, told):
    context, _ = related_context(*names, **specs)
    with pytest.raises(Problem, match=told):
        Rotation(context)
