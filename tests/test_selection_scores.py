"""Scores by which a network is selected without the target's labels: by hand, laws, and skada's scorers."""

import importlib
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from xlearn.metrics import score
from xlearn.selection import LABEL_FREE, RULES, Seen, scores
from xlearn.selection.density_ratio import density_ratio
from xlearn.selection.dev import dev
from xlearn.selection.entropy import entropy
from xlearn.selection.importance_weighted import importance_weighted
from xlearn.selection.infomax import infomax
from xlearn.selection.mixval import LAMBDA, mixval, pairs
from xlearn.selection.snd import snd

ON_TARGET: list[Callable[[Tensor], float]] = [entropy, infomax, snd]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return score("accuracy", logits, labels)


def certain(labels: Tensor, classes: int, by: float = 200.0) -> Tensor:
    return by * torch.nn.functional.one_hot(labels, classes).float()


def look(count: int = 60, classes: int = 3, seed: int = 0) -> Seen:
    """Features with a shift between the domains; the network is often right."""
    labels = torch.arange(count) % classes
    logits = certain(labels, classes, 2.0) + draw(count, classes, seed=seed)
    target = certain(labels, classes, 2.0) + draw(count, classes, seed=seed + 1)
    pseudo = target.argmax(1)
    return Seen(
        source_features=draw(count, 4, seed=seed + 2), source_logits=logits, source_labels=labels,
        training_features=draw(2 * count, 4, seed=seed + 3),
        target_features=draw(count, 4, seed=seed + 4) + 0.5, target_logits=target,
        target_val_logits=target, target_val_labels=labels,
        mixed_logits={"inter": target, "inter_labels": pseudo, "intra": target, "intra_labels": pseudo},
    )  # fmt: skip


def skada_metrics() -> Any:
    pytest.importorskip("skada")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("skada.metrics")


class Says:
    """An estimator as skada asks one: its inputs are the logits of what it predicts."""

    module_ = SimpleNamespace(layer_name="features")

    def predict_proba(self, inputs: Any, **options: Any) -> Any:
        return torch.as_tensor(numpy.asarray(inputs, dtype=float)).softmax(1).numpy()

    def predict(self, inputs: Any, **options: Any) -> Any:
        return self.predict_proba(inputs).argmax(1)

    def predict_features(self, inputs: Any) -> Any:
        return inputs

    def score(self, inputs: Any, labels: Any, **options: Any) -> float:
        return float((self.predict(inputs) == labels).mean())

    def fit(self, *given: Any) -> "Says":
        return self


def by_skada(scorer: Any, source: Tensor, labels: Tensor, target: Tensor) -> float:
    inputs = torch.cat([source, target]).double().numpy()
    domain = numpy.array([1] * len(source) + [-2] * len(target))
    hidden = numpy.concatenate([labels.numpy(), numpy.full(len(target), -1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(scorer._score(None, Says(), inputs, hidden, sample_domain=domain))


# What there is


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
    logits, metrics = 2 * draw(25, 5), skada_metrics()
    other = by_skada(metrics.PredictionEntropyScorer(), draw(5, 5), torch.arange(5), logits)
    assert entropy(logits) == pytest.approx(5 * other, rel=1e-5)


def test_snd_is_skadas() -> None:
    logits, metrics = 2 * draw(25, 5), skada_metrics()
    other = by_skada(metrics.SoftNeighborhoodDensity(), draw(5, 5), torch.arange(5), logits)
    assert snd(logits) == pytest.approx(other, rel=1e-8)


# Weighted risks


def test_the_density_ratio_is_that_of_two_normal_distributions() -> None:
    """N(1, 1) to N(0, 1): exp(x - 1 / 2), whatever the sizes of the samples and the scale of the features."""
    source, target = draw(6000, 1), draw(3000, 1, seed=1) + 1
    points = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    found = density_ratio(100 * source + 7, 100 * target + 7, 100 * points + 7)
    assert torch.allclose(found.log(), (points[:, 0] - 0.5).double(), atol=0.12)
    assert density_ratio(source, target, source).mean() == pytest.approx(1.0, abs=0.05)


def test_weights_are_finite_where_the_domains_lie_apart() -> None:
    weights = density_ratio(draw(20, 2), draw(30, 2, seed=1) + 1e4, torch.tensor([[-1e9, -1e9], [1e9, 1e9]]))
    assert weights.tolist() == pytest.approx([1e-6 * 20 / 30, 1e6 * 20 / 30])


def test_the_weighted_risk_is_that_of_the_target() -> None:
    """Source N(0, 1), target N(1, 1), wrong wherever x > 1: half of the target, 0.159 of the source."""
    features, labels = draw(4000, 1), torch.zeros(4000, dtype=torch.int64)
    wrong = (features[:, 0] > 1).long()
    seen = Seen(
        source_features=features, source_logits=certain(wrong, 2), source_labels=labels,
        training_features=draw(4000, 1, seed=1), target_features=draw(4000, 1, seed=2) + 1, target_logits=draw(4000, 2),
    )  # fmt: skip
    assert float(wrong.double().mean()) == pytest.approx(0.159, abs=0.02)
    assert importance_weighted(seen) == pytest.approx(-0.5, abs=0.05)
    assert dev(seen) == pytest.approx(-0.5, abs=0.05)


def test_dev_varies_less_than_the_plain_weighted_mean() -> None:
    plain, controlled = [], []
    for seed in range(12):
        features = draw(200, 1, seed=10 * seed)
        wrong = torch.arange(200) % 2
        labels = torch.zeros(200, dtype=torch.int64)
        training, target = draw(200, 1, seed=10 * seed + 1), draw(200, 1, seed=10 * seed + 2) + 1
        seen = Seen(
            source_features=features, source_logits=certain(wrong, 2), source_labels=labels, training_features=training,
            target_features=target, target_logits=draw(2, 2),
        )  # fmt: skip
        plain.append(-float((density_ratio(training, target, features) * wrong).mean()))
        controlled.append(dev(seen))
    assert numpy.std(controlled) < numpy.std(plain)


def test_the_importance_weighted_score_is_a_weighted_accuracy() -> None:
    """scikit-learn's; skada's scorer does the same, but its weights are of two kernel density estimates."""
    metrics = pytest.importorskip("sklearn.metrics")
    seen = look()
    logits, labels = _given(seen)[:2]
    assert seen.training_features is not None and seen.source_features is not None
    weights = density_ratio(seen.training_features, seen.target_features, seen.source_features)
    expected = metrics.accuracy_score(labels, logits.argmax(1), sample_weight=weights) - 1
    assert importance_weighted(seen) == pytest.approx(expected)


def test_dev_is_skadas() -> None:
    """With the 0-1 loss and standardised features, on its split of the source."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scorer = skada_metrics().DeepEmbeddedValidation(
        domain_classifier=make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        loss_func=lambda labels, shares: (labels != shares.argmax(1)).astype(float)[:, None],
        random_state=3,
    )
    labels = torch.arange(90) % 3
    source, target = certain(labels, 3, 1.0) + draw(90, 3), draw(70, 3, seed=1) + torch.tensor([0.8, 0.0, -0.3])
    other = by_skada(scorer, source, labels, target)
    training, held, _, held_labels = train_test_split(
        source.double().numpy(), labels.numpy(), test_size=0.33, random_state=numpy.random.RandomState(3)
    )
    seen = Seen(
        source_features=torch.from_numpy(held), source_logits=torch.from_numpy(held),
        source_labels=torch.from_numpy(held_labels), training_features=torch.from_numpy(training),
        target_features=target, target_logits=target,
    )  # fmt: skip
    assert dev(seen) == pytest.approx(other, rel=1e-4) and dev(seen) != importance_weighted(seen)


# MixVal


def test_mixval_by_hand() -> None:
    """Three inter probes of which one is right, one left out; two intra probes, both right."""
    inter, intra = certain(torch.tensor([0, 0, 0, 0]), 2), certain(torch.tensor([0, 1]), 2)
    mixed = {"inter": inter, "inter_labels": torch.tensor([0, 1, -1, 1]), "intra": intra, "intra_labels": torch.tensor([0, 1])}
    seen = Seen(target_features=draw(4, 2), target_logits=draw(4, 2), mixed_logits=mixed)
    assert mixval(seen) == pytest.approx((1 / 3 + 1) / 2)
    inter[1] = math.nan
    assert mixval(seen) == -math.inf
    inter[1], inter[2] = 0.0, math.nan  # nobody looks at it
    assert math.isfinite(mixval(seen))


def test_partners_of_another_and_of_the_same_class() -> None:
    labels = torch.tensor([2, 0, 0, 1, 2, 2, 0, 4])  # 1 and 4 once, 3 never
    logits = certain(labels, 5)
    seen = [set() for _ in labels], [set() for _ in labels]
    for seed in range(80):
        for found, partner in zip(seen, pairs(logits, torch.Generator().manual_seed(seed)), strict=True):
            assert partner.dtype == torch.int64 and partner.shape == labels.shape
            for row, each in enumerate(partner.tolist()):
                found[row].add(each)
    for row, label in enumerate(labels.tolist()):
        same = set((labels == label).nonzero().flatten().tolist())
        assert seen[0][row] == set(range(8)) - same
        assert seen[1][row] == ((same - {row}) or {-1})


def test_partners_are_equally_likely() -> None:
    """2,000 draws of one of 4 and of one of 3, by the chi-squared statistic with 3 and 2 degrees of freedom."""
    labels = (torch.arange(8) >= 4).long()
    generator = torch.Generator().manual_seed(0)
    drawn = [pairs(certain(labels, 2), generator) for _ in range(2000)]
    for kind, partners in enumerate((4, 3)):
        counts = torch.stack([each[kind][0] for each in drawn]).bincount(minlength=8)
        counts = counts[counts > 0]
        assert len(counts) == partners
        assert float(((counts - 2000 / partners).square() / (2000 / partners)).sum()) < 18


def test_a_single_predicted_class_has_no_inter_partners() -> None:
    inter, intra = pairs(certain(torch.ones(5, dtype=torch.int64), 3), torch.Generator().manual_seed(0))
    assert inter.tolist() == [-1] * 5 and all(partner not in (-1, row) for row, partner in enumerate(intra.tolist()))
    inter, intra = pairs(torch.full((2, 3), math.nan), torch.Generator().manual_seed(0))
    assert len(inter) == len(intra) == 2


def test_mixval_is_skadas() -> None:
    """On its permutation: one partner each, of another or of the same class."""
    target = 2 * draw(50, 3)
    other = by_skada(skada_metrics().MixValScorer(random_state=5), draw(6, 3), torch.arange(6) % 3, target)
    target = target.double()
    partner = torch.from_numpy(numpy.random.RandomState(5).permutation(50))
    pseudo = target.argmax(1)
    same = pseudo == pseudo[partner]
    mixed = LAMBDA * target + (1 - LAMBDA) * target[partner]
    seen = Seen(
        target_features=target,
        target_logits=target,
        mixed_logits={
            "inter": mixed,
            "inter_labels": pseudo.masked_fill(same, -1),
            "intra": mixed,
            "intra_labels": pseudo.masked_fill(~same, -1),
        },
    )
    assert mixval(seen) == pytest.approx(other) and 0.5 < other < 1
