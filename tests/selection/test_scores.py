"""Scores by which a network is selected without the target's labels: by hand, laws, and skada's scorers."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from toys.references import accuracy, by_skada, certain, look, skada
from toys.tasks import draw

from xlearn.selection import LABEL_FREE, RULES, Seen, scores
from xlearn.selection.entropy import entropy
from xlearn.selection.infomax import infomax
from xlearn.selection.mixval import mixval
from xlearn.selection.snd import snd

ON_TARGET: list[Callable[[Tensor], float]] = [entropy, infomax, snd]


def test_every_rule_but_last_has_a_score_in_their_order() -> None:
    found = scores(look(), accuracy)
    assert tuple(found) == RULES[1:]
    assert set(LABEL_FREE) == set(RULES) - {"last", "source_val", "oracle"}
    assert found["source_val"] == accuracy(*_given(look())[:2]) and found["oracle"] == accuracy(*_given(look())[2:])
    assert all(math.isfinite(each) for each in found.values())


def _given(seen: Seen) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert seen.source_logits is not None and seen.source_labels is not None
    assert seen.target_val_logits is not None and seen.target_val_labels is not None
    return seen.source_logits, seen.source_labels, seen.target_val_logits, seen.target_val_labels


def test_what_cannot_be_computed_is_left_out() -> None:
    alone = Seen(target_features=draw(9, 4), target_logits=draw(9, 3))
    assert list(scores(alone, accuracy)) == ["entropy", "infomax", "snd"]
    assert scores(Seen(target_features=draw(1, 4), target_logits=draw(1, 3)), accuracy) == {}
    empty = replace(look(), source_logits=draw(0, 3), source_labels=torch.arange(0), source_features=draw(0, 4))
    empty = replace(empty, target_val_logits=draw(0, 3), target_val_labels=torch.arange(0), mixed_logits=None)
    assert list(scores(empty, accuracy)) == ["entropy", "infomax", "snd"]
    assert list(scores(replace(look(), training_features=None), accuracy))[:2] == ["source_val", "entropy"]


def test_only_the_oracle_looks_at_the_labels_of_the_target() -> None:
    before = scores(look(), accuracy)
    after = scores(replace(look(), target_val_labels=torch.zeros(60, dtype=torch.int64)), accuracy)
    assert {rule for rule in before if before[rule] != after[rule]} == {"oracle"}


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_preferred(wrong: float) -> None:
    seen = look()
    broken = [each.clone() for each in (*_given(seen)[::2], seen.target_logits, seen.target_features)]
    for each in broken:
        each[3, 1] = wrong
    found = scores(
        replace(seen, source_logits=broken[0], target_val_logits=broken[1], target_logits=broken[2], target_features=broken[3]),
        accuracy,
    )
    assert found == dict.fromkeys(RULES[1:], -math.inf)
    features = scores(replace(seen, target_features=broken[3]), accuracy)
    assert {rule for rule, value in features.items() if value == -math.inf} == {"importance_weighted", "dev"}


def test_a_metric_that_is_no_number_is_worst() -> None:
    assert scores(look(), lambda logits, labels: math.nan)["oracle"] == -math.inf


@pytest.mark.parametrize("count", [2, 3, 40])
def test_predictions_that_do_not_depend_on_the_input(count: int) -> None:
    """Scores are numbers all the same; infomax is the worst that it may be, and mixval has half at most."""
    same = certain(torch.zeros(count, dtype=torch.int64), 3)
    labels = torch.arange(count) % 3
    mixed = {"inter": same[:0], "inter_labels": labels[:0], "intra": same, "intra_labels": same.argmax(1)}
    seen = Seen(
        source_features=torch.ones(count, 4), source_logits=same, source_labels=labels, training_features=torch.ones(count, 4),
        target_features=torch.ones(count, 4), target_logits=same, mixed_logits=mixed,
    )  # fmt: skip
    found = scores(seen, accuracy)
    assert all(math.isfinite(each) for each in found.values())
    wrong = float((labels != 0).double().mean())
    assert found["importance_weighted"] == pytest.approx(-wrong) and found["dev"] == pytest.approx(-wrong)
    assert found["infomax"] == pytest.approx(0.0) and found["entropy"] == pytest.approx(0.0)
    assert found["snd"] == pytest.approx(math.log(count - 1), abs=1e-9)
    assert found["mixval"] == 0.5
    assert mixval(replace(seen, mixed_logits={key: mixed[key] for key in ("intra", "intra_labels")})) == 0.5


# Entropy, infomax, soft neighbourhood density


def test_entropy_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()
    first = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert entropy(logits) == pytest.approx(-(first + math.log(2)) / 2)


def test_infomax_by_hand() -> None:
    assert infomax(certain(torch.arange(8) % 4, 4)) == pytest.approx(math.log(4))  # certain, and all classes alike
    logits = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).log()
    assert infomax(logits) == pytest.approx(math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25))


def test_snd_by_hand() -> None:
    """Two neighbours of each: one alike and one at right angles, at 1 / 0.05 = 20 apart; and one at right angles to both."""
    shares = torch.tensor([20.0, 0.0], dtype=torch.float64).softmax(0)
    mixed = float(-(shares * shares.log()).sum())
    assert snd(certain(torch.tensor([0, 0, 1]), 2)) == pytest.approx((2 * mixed + math.log(2)) / 3)


@pytest.mark.parametrize("rule", ON_TARGET)
def test_order_and_constants_do_not_count(rule: Callable[[Tensor], float]) -> None:
    logits = draw(30, 4)
    assert rule(logits[torch.randperm(30, generator=torch.Generator().manual_seed(1))] + 5) == pytest.approx(rule(logits))
    assert rule(logits[:, [2, 0, 3, 1]]) == pytest.approx(rule(logits))


def test_clusters_are_denser_than_none() -> None:
    """The more predictions are like each, the denser."""
    assert snd(certain(torch.arange(33) % 3, 3)) == pytest.approx(math.log(10), abs=1e-6)
    assert snd(certain(torch.arange(32) // 2, 16)) < snd(certain(torch.arange(32) // 8, 16))


def test_entropy_is_skadas() -> None:
    """skada averages over the classes too."""
    logits, metrics = 2 * draw(25, 5), skada("metrics")
    other = by_skada(metrics.PredictionEntropyScorer(), draw(5, 5), torch.arange(5), logits)
    assert entropy(logits) == pytest.approx(5 * other, rel=1e-5)
