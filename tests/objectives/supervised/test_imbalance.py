"""Against imbalance: formulas by hand, laws between methods, the worst class, and tasks with a long tail."""

import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torch.nn import functional
from toys.networks import LOGITS, Fixed
from toys.results import finished
from toys.tasks import fruits, labelled_batch, parts, rows_of

from xlearn.commands.summary import title
from xlearn.data.options import TaskOptions
from xlearn.data.splits import split
from xlearn.metrics.measure import measure, score
from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.class_weights import class_weights
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.deferred import Deferred
from xlearn.objectives.supervised.focal import Focal
from xlearn.objectives.supervised.logit_adjustment import LogitAdjustment
from xlearn.runtime.errors import Problem

LABELS = [0, 2, 1]


def context(counts=(6, 3, 1), steps=1):
    return PhaseContext(Fixed(LOGITS), frozenset(), {"a": torch.tensor(counts)}, steps=steps)


def loss(objective, labels=LABELS, network=None):
    return objective(network or Fixed(LOGITS), labelled_batch(labels))["a"]


def test_balanced_softmax_by_hand():
    terms = []
    for logits, label in zip(LOGITS, LABELS, strict=True):
        numbers = [count * math.exp(logit) for count, logit in zip((6, 3, 1), logits, strict=True)]
        terms.append(-math.log(numbers[label] / sum(numbers)))
    assert loss(LogitAdjustment(context())).item() == pytest.approx(sum(terms) / 3)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.5])
def test_logit_adjustment_is_cross_entropy_of_logits_with_the_log_prior(tau):
    prior = torch.tensor([0.6, 0.3, 0.1])
    expected = functional.cross_entropy(torch.tensor(LOGITS) + tau * prior.log(), torch.tensor(LABELS))
    assert loss(LogitAdjustment(context(), tau=tau)).item() == pytest.approx(expected.item())


@given(st.integers(1, 1000), st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_equal_classes_need_no_adjustment(count, tau):
    plain = loss(CrossEntropy(context()))
    assert loss(LogitAdjustment(context([count] * 3), tau=tau)).item() == pytest.approx(plain.item(), rel=1e-5)


def test_the_gradient_of_balanced_softmax_is_the_adjusted_probability_less_the_label():
    network = Fixed(LOGITS)
    loss(LogitAdjustment(context()), network=network).backward()
    raised = torch.tensor([6.0, 3.0, 1.0]) * torch.tensor(LOGITS).exp()
    expected = (raised / raised.sum(1, keepdim=True) - functional.one_hot(torch.tensor(LABELS))) / 3
    torch.testing.assert_close(network.logits.grad, expected)


def test_soft_labels_are_mixed():
    objective = LogitAdjustment(context())
    one, other = (functional.one_hot(torch.tensor(labels), 3).float() for labels in (LABELS, [1, 1, 0]))
    mixed = 0.25 * loss(objective) + 0.75 * loss(objective, [1, 1, 0])
    assert loss(objective, 0.25 * one + 0.75 * other).item() == pytest.approx(mixed.item())


@pytest.mark.parametrize("labels", [[0, 1, 1], [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]])
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_a_class_without_examples_is_out_of_the_loss(labels, tau):
    network, among = Fixed(LOGITS), torch.tensor([6.0, 3.0])
    found = loss(LogitAdjustment(context((6, 3, 0)), tau=tau), labels, network)
    found.backward()
    assert found.isfinite() and network.logits.grad.isfinite().all()
    if tau:
        target = torch.tensor(labels) if isinstance(labels[0], int) else torch.tensor(labels)[:, :2]
        expected = functional.cross_entropy(torch.tensor(LOGITS)[:, :2] + among.log(), target)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        assert network.logits.grad[:, 2].abs().max() < 1e-9


def test_effective_weights_by_hand():
    # 1 - 0.5^n is 1/2, 3/4 and 7/8 for 1, 2 and 3 examples: weights as 2, 4/3 and 8/7, scaled to the sum 3.
    numbers = [2, 4 / 3, 8 / 7]
    found = class_weights("effective", torch.tensor([1, 2, 3]), beta=0.5)
    assert found.tolist() == pytest.approx([3 * each / sum(numbers) for each in numbers])
    assert class_weights("effective", torch.tensor([1, 0, 3]), beta=0.5).tolist() == pytest.approx([14 / 11 * 1.5, 0, 12 / 11])


@given(st.lists(st.integers(1, 500), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_effective_weights_go_from_equal_to_inverse_frequency(counts):
    numbers = torch.tensor(counts)
    assert class_weights("effective", numbers, beta=0.0).tolist() == [1.0] * len(counts)
    inverse = class_weights("balanced", numbers)
    near = class_weights("effective", numbers, beta=1 - 1e-9)
    torch.testing.assert_close(near, inverse * len(counts) / inverse.sum(), rtol=1e-4, atol=0)
    assert class_weights("effective", numbers).sum().item() == pytest.approx(len(counts), rel=1e-5)


def test_objectives_take_effective_weights():
    weights = class_weights("effective", torch.tensor((6, 3, 1)))
    expected = functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS), weight=weights)
    for objective in (
        CrossEntropy(context(), class_weights="effective"),
        Focal(context(), gamma=0.0, class_weights="effective"),
        Deferred(context(), after=0.0),
    ):
        assert loss(objective).item() == pytest.approx(expected.item())


def test_deferred_is_plain_and_then_weighted():
    plain, weighted = loss(CrossEntropy(context())), loss(CrossEntropy(context(), class_weights="effective"))
    assert not torch.isclose(plain, weighted)
    objective = Deferred(context(steps=5), after=0.6)
    found = []
    for _ in range(5):
        loss(objective)  # a look is no step
        found.append(loss(objective).item())
        objective.follow(objective)
    assert found == [plain.item()] * 3 + [weighted.item()] * 2
    assert not list(objective.parameters())


@pytest.mark.parametrize("done", [1, 4])
def test_deferred_goes_on_where_it_was_saved(done):
    first, second = Deferred(context(steps=5), after=0.6), Deferred(context(steps=5), after=0.6)
    for _ in range(done):
        first.follow(first)
    second.load_state_dict(first.state_dict())
    for _ in range(5 - done):
        assert loss(first).item() == loss(second).item()
        first.follow(first)
        second.follow(second)


def test_deferred_may_never_weigh():
    objective = Deferred(context(steps=2), after=1.0)
    objective.follow(objective)
    assert loss(objective).item() == loss(CrossEntropy(context())).item()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: LogitAdjustment(context(), tau=-0.5), r"objective.tau=-0.5: give 0 \(cross-entropy\) or more"),
        (lambda: LogitAdjustment(context(), tau=math.nan), "objective.tau=nan"),
        (lambda: Deferred(context(), after=1.1), r"objective.after=1.1: give a share of the phase's steps in \[0, 1\]"),
        (lambda: Deferred(context(), beta=1.0), "objective.beta=1.0: give 0 .* and less than 1"),
    ],
)
def test_arguments_out_of_range_are_refused(made, words):
    with pytest.raises(Problem, match=words):
        made()


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_the_worst_class_is_the_lowest_recall_of_those_that_occur(seed, count, classes):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + functional.one_hot(labels, classes)
    true, guess = labels.numpy(), logits.argmax(1).numpy()
    expected = sklearn_metrics.recall_score(true, guess, labels=numpy.unique(true), average=None).min()
    assert score("worst_class", logits, labels) == pytest.approx(expected)
    assert measure(logits, labels, [str(each) for each in range(classes)])["worst_class"] == pytest.approx(expected)


def labelled(data, **options):
    found = split(data, TaskOptions(**options), 0, "t")
    return torch.bincount(data.labels[found.train], minlength=len(data.classes)).tolist()


def test_a_long_tail_by_hand():
    data = fruits([100, 100, 100])
    # 20 of 100 are for the test, 8 of 80 for validation: 72, times 1, 0.1 and 0.01, and at least one.
    assert labelled(data) == [72, 72, 72]
    assert labelled(data, imbalance=0.01) == [72, 7, 1]
    assert labelled(data, imbalance=0.25) == [72, 36, 18]
    assert labelled(data, imbalance=0.25, shots=20) == [20, 10, 5]
    assert labelled(data, imbalance=0.25, fraction=0.5) == [36, 18, 9]
    assert labelled(data, imbalance=0.25, classes=["cherry", "apple"]) == [18, 0, 72]
    groups = {"stone": ["cherry"], "other": ["banana", "apple"]}
    assert labelled(data, imbalance=0.25, groups=groups) == [18, 36, 72]
    assert labelled(fruits([100, 50, 100]), imbalance=0.25) == [72, 18, 18]  # of what each class has
    assert labelled(fruits([1, 1, 5]), imbalance=0.01, val=0.0) == [1, 1, 1]


@given(
    st.lists(st.integers(6, 40), min_size=2, max_size=5),
    st.integers(0, 2**31),
    st.floats(0.001, 1),
    st.sampled_from([{}, {"shots": 3}, {"fraction": 0.5}, {"folds": 3, "fold": 1}]),
)
def test_a_long_tail_only_takes_labels_away(counts, seed, imbalance, options):
    data = fruits(counts)
    whole = split(data, TaskOptions(**options), seed, "t")
    tail = split(data, TaskOptions(**options, imbalance=imbalance), seed, "t")
    assert torch.equal(tail.test, whole.test) and torch.equal(tail.val, whole.val)
    assert set(tail.train.tolist()) <= set(whole.train.tolist())
    assert sorted(rows_of(tail)) == list(range(len(data.labels)))
    assert set(data.labels[tail.train].tolist()) == set(range(len(counts)))
    assert parts(split(data, TaskOptions(**options, imbalance=1.0), seed, "t")) == parts(whole)


@pytest.mark.parametrize("imbalance", [0.0, -0.1, 1.5, math.nan])
def test_an_imbalance_out_of_range_is_refused(imbalance):
    with pytest.raises(Problem, match=rf"^target.imbalance={imbalance}: give a share in \(0, 1\], e.g. 0.01, or null\.$"):
        split(fruits([20, 30]), TaskOptions(imbalance=imbalance), 0, "target")


def test_the_title_tells_the_imbalance():
    given = finished()
    assert "imbalance" not in title(given)
    given["config"]["target"]["imbalance"] = 0.01
    assert ", 5 labels per class, imbalance 0.01, seed 0" in title(given)
