"""Objectives, schedules and balances against hand-worked cases and other implementations."""

import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.nn import functional
from toys.networks import image_network
from toys.phases import target_batches
from toys.tasks import random_images

from xlearn.balance import Backward
from xlearn.balance.equal import equal
from xlearn.data.batches import Batches
from xlearn.data.task import Batch, Examples, LabelSpace
from xlearn.objectives import PhaseContext
from xlearn.objectives.regularization.l1 import l1
from xlearn.objectives.regularization.l2 import l2
from xlearn.objectives.regularization.l2_sp import L2SP
from xlearn.objectives.supervised.class_weights import class_weights
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.focal import Focal
from xlearn.runtime.errors import Problem
from xlearn.schedules.constant import constant
from xlearn.schedules.cosine import cosine
from xlearn.schedules.warmup import warmup


class Fixed(torch.nn.Module):
    """A network whose logits are given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, batch):
        return self.logits


def batch(labels):
    return {"a": Batch({}, torch.as_tensor(labels), LabelSpace("x", ("0", "1", "2")))}


LOGITS = [[2.0, 0.0, -1.0], [0.5, 0.5, 0.0], [0.0, 3.0, 1.0]]


def context(counts=(6, 3, 0)):
    return PhaseContext(Fixed(LOGITS), frozenset(), {"a": torch.tensor(counts)})


def test_balanced_class_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = [0] * 6 + [1] * 3 + [2] * 1
    expected = compute_class_weight("balanced", classes=numpy.array([0, 1, 2]), y=numpy.array(labels))
    found = class_weights("balanced", torch.tensor([6, 3, 1]))
    assert found.tolist() == pytest.approx(expected.tolist())
    assert class_weights("balanced", torch.tensor([4, 0]))[1] == 0


def test_cross_entropy_by_hand():
    p = torch.tensor(LOGITS).softmax(1)
    expected = -(p[0, 0].log() + p[1, 2].log() + p[2, 1].log()) / 3
    found = CrossEntropy(context())(Fixed(LOGITS), batch([0, 2, 1]))
    assert found["a"].item() == pytest.approx(expected.item())
    weights = torch.tensor([9 / 18, 9 / 9, 0.0])
    weighted = -(weights[0] * p[0, 0].log() + weights[1] * p[2, 1].log()) / (weights[0] + weights[1])
    found = CrossEntropy(context(), class_weights="balanced")(Fixed(LOGITS), batch([0, 2, 1]))
    assert found["a"].item() == pytest.approx(weighted.item())


def test_cross_entropy_smooths_and_takes_soft_labels():
    smoothed = CrossEntropy(context(), label_smoothing=0.3)(Fixed(LOGITS), batch([0, 2, 1]))["a"]
    soft = 0.7 * functional.one_hot(torch.tensor([0, 2, 1])).float() + 0.1
    same = CrossEntropy(context())(Fixed(LOGITS), batch(soft))["a"]
    assert smoothed.item() == pytest.approx(same.item())


def test_focal_loss_by_hand_and_without_focus():
    p = torch.tensor(LOGITS).softmax(1)[torch.arange(3), torch.tensor([0, 2, 1])]
    expected = (-((1 - p) ** 2) * p.log()).mean()
    assert Focal(context(), gamma=2.0)(Fixed(LOGITS), batch([0, 2, 1]))["a"].item() == pytest.approx(expected.item())
    for kind in ("none", "balanced"):
        plain = CrossEntropy(context(), class_weights=kind)(Fixed(LOGITS), batch([0, 2, 1]))["a"]
        assert Focal(context(), gamma=0.0, class_weights=kind)(Fixed(LOGITS), batch([0, 2, 1]))["a"].item() == pytest.approx(
            plain.item()
        )


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_focal_loss_has_a_gradient_where_p_rounds_to_one(gamma):
    network = Fixed([[200.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    loss = Focal(context(), gamma=gamma)(network, batch([0, 2]))["a"]
    loss.backward()
    assert network.logits.grad.isfinite().all() and network.logits.grad[0].abs().max() < 1e-3
    p = torch.tensor(network.logits.tolist()[1], dtype=torch.float64).softmax(0)[2]
    assert loss.item() == pytest.approx((-((1 - p) ** gamma) * p.log() / 2).item(), rel=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, math.nan])
def test_arguments_out_of_range_are_refused(share):
    with pytest.raises(Problem, match=r"objective.label_smoothing=.*: give a share in \[0, 1\)"):
        CrossEntropy(context(), label_smoothing=share)
    with pytest.raises(Problem, match=r"objective.gamma=-0.5: give 0 \(cross-entropy\) or more"):
        Focal(context(), gamma=-0.5)


def test_focal_loss_agrees_with_torchvision():
    """torchvision's is the sigmoid variant: the same for two classes, where softmax(z, 0) is sigmoid(z)."""
    from torchvision.ops import sigmoid_focal_loss

    z = torch.tensor([1.3, -0.4, 0.2])
    labels = torch.tensor([0, 1, 1])
    expected = sigmoid_focal_loss(z, (labels == 0).float(), alpha=-1, gamma=2.0, reduction="mean")
    network = Fixed(torch.stack([z, torch.zeros(3)], 1).tolist())
    found = Focal(PhaseContext(network, frozenset(), {"a": torch.tensor([1, 1])}), gamma=2.0)(network, batch(labels))["a"]
    assert found.item() == pytest.approx(expected.item())


def test_penalties_by_hand():
    network = Fixed([[1.0, -2.0], [3.0, 0.0]])
    assert l2(network, {}, strength=0.1)["l2"].item() == pytest.approx(0.05 * 14)
    assert l1(network, {}, strength=0.1)["l1"].item() == pytest.approx(0.6)
    network.logits.requires_grad_(False)
    network.other = torch.nn.Parameter(torch.tensor([2.0]))
    assert l2(network, {}, strength=1.0)["l2"].item() == pytest.approx(2.0)


def test_l2_is_weight_decay_of_plain_sgd():
    left, right = image_network(random_images()), image_network(random_images())
    l2(left, {}, strength=0.3)["l2"].backward()
    torch.optim.SGD(left.parameters(), lr=0.1).step()
    for parameter in right.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.SGD(right.parameters(), lr=0.1, weight_decay=0.3).step()
    for one, other in zip(left.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_l2_sp_pulls_copied_to_the_start_and_fresh_to_zero():
    network = image_network(random_images())
    copied = frozenset({"encoder.image.blocks.0.0.weight"})
    penalty = L2SP(PhaseContext(network, copied, {}), alpha=0.4, beta=0.2)
    fresh = sum(float(p.detach().square().sum()) for n, p in network.named_parameters() if n not in copied)
    assert penalty(network, {})["l2_sp"].item() == pytest.approx(0.1 * fresh, rel=1e-5)
    with torch.no_grad():
        network.get_parameter("encoder.image.blocks.0.0.weight").add_(0.5)
    moved = network.get_parameter("encoder.image.blocks.0.0.weight").numel() * 0.25
    loss = penalty(network, {})["l2_sp"]
    assert loss.item() == pytest.approx(0.2 * moved + 0.1 * fresh, rel=1e-5)
    loss.backward()
    gradient = network.get_parameter("encoder.image.blocks.0.0.weight").grad
    torch.testing.assert_close(gradient, torch.full_like(gradient, 0.4 * 0.5))


def test_the_balance_is_the_gradient_of_the_sum():
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    equal({"a": x.sum(), "b": (x**2).sum()}, Backward(image_network(random_images()), [x]))
    assert x.grad.tolist() == [3.0, 5.0]


@settings(deadline=None)
@given(steps=some.integers(1, 500), share=some.floats(0, 1))
def test_schedules_stay_in_range_and_warm_up_rises(steps, share):
    for schedule in (constant, lambda s, n: cosine(s, n, warmup=share, floor=0.1), lambda s, n: warmup(s, n, share=share)):
        values = [schedule(step, steps) for step in range(steps)]
        assert all(0 < value <= 1 for value in values)
    rising = [warmup(step, steps, share=share) for step in range(steps)]
    assert rising == sorted(rising)


def test_cosine_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert cosine(step, 20) == pytest.approx(reference.get_last_lr()[0], abs=1e-6)
        optimizer.step()
        reference.step()
    assert cosine(10, 20, floor=0.2) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)


@settings(max_examples=20, deadline=None)
@given(count=some.integers(1, 40), size=some.integers(1, 16), first=some.integers(0, 60))
def test_batches_follow_from_the_step_alone_and_an_epoch_repeats_nothing(count, size, first):
    given_examples = random_images(count)
    whole, late = target_batches(given_examples, size), target_batches(given_examples, size)
    images = [whole(step)["target"].inputs["image"] for step in range(first + 1)]
    assert torch.equal(images[first], late(first)["target"].inputs["image"])
    per_epoch = count // min(size, count)
    assert whole.steps_per_epoch == per_epoch
    epoch = torch.cat([whole(step)["target"].inputs["image"] for step in range(per_epoch)]).flatten(1)
    assert len(epoch.unique(dim=0)) == len(epoch)


def test_balanced_batches_draw_every_class_equally_often():
    given_examples = random_images(300)
    labels = torch.where(torch.arange(300) < 270, 0, torch.arange(300) % 2 + 1)
    skewed = Examples(given_examples.inputs, labels, given_examples.rows, given_examples.space)
    batches = Batches({"a": skewed}, batch_size=100, seed=0, balanced=True)
    drawn = torch.cat([batches(step)["a"].labels for step in range(30)])
    shares = torch.bincount(drawn) / len(drawn)
    assert all(abs(share - 1 / 3) < 0.04 for share in shares.tolist())
