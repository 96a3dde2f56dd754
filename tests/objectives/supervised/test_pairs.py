"""Every pair of options of the supervised losses, against a loop over single examples in plain floats (double precision)."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import pytest
import torch
from toys.losses import (
    CLASSES,
    FIRST,
    FORMS,
    Given,
    adjusted,
    counted,
    focal,
    hard,
    log_softmax,
    network_of_both,
    smoothed_entropy,
    squares,
    weighted_mean,
    weights_of,
)

from xlearn.objectives.distillation.dkd import Dkd
from xlearn.objectives.distillation.kd import Kd
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.deferred import Deferred
from xlearn.objectives.supervised.each_modality import EachModality
from xlearn.objectives.supervised.focal import Focal
from xlearn.objectives.supervised.logit_adjustment import LogitAdjustment
from xlearn.objectives.supervised.supervised import Supervised

SORTS = ("none", "balanced", "effective")


@dataclass
class Option:
    """An objective with its options; `loss(z, label, counts)` of a single example, and the weights of the classes."""

    kind: Any
    loss: Callable[..., float]
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = "none"
    beta: float = 0.9999

    def __str__(self) -> str:
        return f"{self.kind.__name__} {' '.join(f'{key}={value}' for key, value in self.options.items())}"


def options() -> Iterator[Option]:
    yield Option(Supervised, lambda z, y, n: smoothed_entropy(z, y))
    for sort, share in product(SORTS, (0.0, 0.1, 0.6)):
        given = {"class_weights": sort, "label_smoothing": share}
        yield Option(CrossEntropy, lambda z, y, n, share=share: smoothed_entropy(z, y, share), given, sort)
    for sort, gamma in product(SORTS, (0.0, 0.5, 2.0)):
        yield Option(Focal, lambda z, y, n, gamma=gamma: focal(z, y, gamma), {"gamma": gamma, "class_weights": sort}, sort)
    for tau in (0.0, 0.5, 1.0, 1.5):
        yield Option(LogitAdjustment, lambda z, y, n, tau=tau: adjusted(z, y, n, tau), {"tau": tau})
    yield Option(Deferred, lambda z, y, n: smoothed_entropy(z, y), {"after": 1.0})
    for beta in (0.0, 0.9, 0.9999):
        given = {"after": 0.0, "beta": beta}
        yield Option(Deferred, lambda z, y, n: smoothed_entropy(z, y), given, "effective", beta)


OPTIONS = [*options()]


def of_classes(given: Given) -> Given:
    """Without the role that predicts numbers."""
    return replace(
        given, tasks={role: each for role, each in given.tasks.items() if role != "third"},
        batches={role: each for role, each in given.batches.items() if role != "third"},
    )  # fmt: skip


def expected(option: Option, given: Given, role: str) -> float:
    labels = given.labels.get(role, dict(enumerate(FIRST)))
    counts = counted(labels, given.batches[role].space.width)
    weights = weights_of(option.weights, counts, option.beta)
    return weighted_mean(lambda z, y: option.loss(z, y, counts), given.outputs(role), given.shares(role), weights)


def autocast(precision: str) -> Any:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_a_loss_is_the_weighted_mean_over_examples(option, form, precision):
    given = of_classes(FORMS[form]())
    objective = option.kind(given.context(), **option.options)
    with autocast(precision):
        found = objective(given.network, given.batches)
        assert found.keys() == given.batches.keys()
        for role, loss in found.items():
            assert loss.dtype == torch.float32
            assert loss.item() == pytest.approx(expected(option, given, role), rel=2e-5), role


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_its_gradient_is_that_of_the_weighted_mean(option, form):
    """By central differences of the loop, with respect to the head's biases."""
    given = of_classes(FORMS[form]())
    objective = option.kind(given.context(), **option.options)
    bias = given.network.head[CLASSES.key].bias
    objective(given.network, given.batches)["target"].backward()
    found, step = bias.grad.tolist(), 1e-3
    for place, slope in enumerate(found):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                bias[place] += sign * step
                ends.append(expected(option, given, "target"))
                bias[place] -= sign * step
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=3e-3, abs=3e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", ["hard", "in common"])
def test_each_modality_counts_the_examples_that_have_it(form, precision, weight):
    given = FORMS[form]()
    with autocast(precision):
        found = EachModality(given.context(), weight=weight)(given.network, given.batches)
        for role, batch in given.batches.items():
            has = {"image": [True] * len(given.rows(role)), "tabular": batch.present["tabular"].tolist()}
            for name in ("", "image", "tabular"):
                there = has[name] if name else [True] * len(given.rows(role))
                outputs = given.outputs(role, *([name] if name else []))
                if role == "third":
                    pairs = zip(given.rows(role), there, strict=True)
                    values = [given.labels[role].get(row) if here else None for row, here in pairs]
                    wanted = squares(outputs, values)
                else:
                    shares = [q if here else None for q, here in zip(given.shares(role), there, strict=True)]
                    wanted = weighted_mean(smoothed_entropy, outputs, shares, [1.0] * batch.space.width)
                loss = found[f"{role}_{name}" if name else role].item()
                assert loss == pytest.approx((weight if name else 1.0) * wanted, rel=2e-4 if precision == "bf16" else 2e-5)


@pytest.mark.parametrize("kind", [Supervised, CrossEntropy])
def test_numbers_are_divided_by_their_labelled_rows(kind):
    given = FORMS["in common"]()
    found = kind(given.context())(given.network, given.batches)["third"]
    values = [given.labels["third"].get(row) for row in given.rows("third")]
    assert any(each is None for each in values)
    assert found.item() == pytest.approx(squares(given.outputs("third"), values), rel=2e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", ["hard", "mixed"])
@pytest.mark.parametrize("kind", [Kd, Dkd])
def test_distillation_adds_the_mean_over_examples_that_the_teacher_reads(kind, form, precision):
    given, weight, tau = FORMS[form](), 0.3, 2.0
    teacher = network_of_both(seed=1)
    if form == "hard":  # the teacher reads the columns only, which some examples lack
        del teacher.encoder["image"]
        given.batches["target"] = replace(given.batches["target"], memo={})
    with autocast(precision):
        objective = kind(given.context(teachers=(teacher,)), weight=weight, temperature=tau)
        found = objective(given.network, given.batches)
        outputs, taught = given.outputs("target"), given.outputs("target", network=teacher)
    batch = given.batches["target"]
    there = batch.present["tabular"].tolist() if form == "hard" else [True] * len(outputs)
    shares = given.shares("target")
    terms = []
    for z, t, q, here in zip(outputs, taught, shares, there, strict=True):
        if not here:
            continue
        log_s, log_t = (log_softmax([each / tau for each in values]) for values in (z, t))
        p = [math.exp(each) for each in log_t]
        own = max(range(3), key=lambda place, q=q: q[place])
        alike = math.fsum(a * (b - c) for a, b, c in zip(p, log_t, log_s, strict=True))
        if kind is Dkd:  # KL = TCKD + (1 - p_y) NCKD, so alpha TCKD + beta NCKD by both parts
            rest_t, rest_s = (math.log1p(-math.exp(each[own])) for each in (log_t, log_s))
            first = p[own] * (log_t[own] - log_s[own]) + (1 - p[own]) * (rest_t - rest_s)
            alike = first + 2.0 * (alike - first) / (1 - p[own])
        terms.append(tau**2 * alike)
    labels = weighted_mean(smoothed_entropy, outputs, shares, [1.0] * 3)
    assert found["target_labels"].item() == pytest.approx((1 - weight) * labels, rel=2e-5)
    assert found["target_teacher"].item() == pytest.approx(weight * math.fsum(terms) / len(terms), rel=2e-4)


@pytest.mark.parametrize("option", [each for each in OPTIONS if each.weights != "none"], ids=str)
def test_the_scale_of_weights_has_no_effect(option):
    given = hard()
    objective = option.kind(given.context(), **option.options)
    before = objective(given.network, given.batches)["target"].item()
    for weights in objective.weights.buffers():
        weights.mul_(1000)
    assert objective(given.network, given.batches)["target"].item() == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_whole_labels_written_as_shares_are_the_same(option):
    given = hard()
    objective = option.kind(given.context(), **option.options)
    before = objective(given.network, given.batches)["target"].item()
    batch = given.batches["target"]
    shares = torch.nn.functional.one_hot(batch.labels, 3).float()
    after = objective(given.network, {"target": replace(batch, labels=shares)})["target"].item()
    assert after == pytest.approx(before, rel=1e-5)
