"""Scores of selection that weigh or mix examples: by hand, laws, and skada's scorers."""

import math
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor
from toys.references import by_skada, certain, look, skada
from toys.tasks import draw

from xlearn.selection import Seen
from xlearn.selection.density_ratio import density_ratio
from xlearn.selection.dev import dev
from xlearn.selection.entropy import entropy
from xlearn.selection.importance_weighted import importance_weighted
from xlearn.selection.infomax import infomax
from xlearn.selection.mixval import LAMBDA, mixval, pairs
from xlearn.selection.snd import snd

ON_TARGET: list[Callable[[Tensor], float]] = [entropy, infomax, snd]


def _given(seen: Seen) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert seen.source_logits is not None and seen.source_labels is not None
    assert seen.target_val_logits is not None and seen.target_val_labels is not None
    return seen.source_logits, seen.source_labels, seen.target_val_logits, seen.target_val_labels


def test_snd_is_skadas() -> None:
    logits, metrics = 2 * draw(25, 5), skada("metrics")
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

    scorer = skada("metrics").DeepEmbeddedValidation(
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
    other = by_skada(skada("metrics").MixValScorer(random_state=5), draw(6, 3), torch.arange(6) % 3, target)
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
