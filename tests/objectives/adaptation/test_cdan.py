"""CDAN: what the discriminator sees, and what counts more."""

import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn
from toys.contexts import adaptation_context, batch_of, set_progress
from toys.references import skada

from xlearn.objectives.adaptation.cdan import Cdan
from xlearn.runtime.errors import Problem


def test_cdan_joins_every_feature_with_every_prediction():
    context, _ = adaptation_context()
    features, predictions = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.3, 0.2]])
    expected = torch.tensor([[0.5, 1.0, 0.3, 0.6, 0.2, 0.4]])
    assert torch.allclose(Cdan(context).joined(features, predictions), expected)


def test_cdan_trusts_sure_predictions_more():
    context, network = adaptation_context()
    cdan, batches = Cdan(context, hidden=5), batch_of(context)
    for layer in [*network.head.values(), cdan.discriminator.layers[-1]]:
        layer.weight.data *= 20  # sure of some, and told apart
    logits, labels, weights = [], [], []
    for label, role in [(1, "source"), (0, "unlabeled")]:
        features = network.features(batches[role]).detach()
        shares = network.head[batches[role].space.key](features).detach().softmax(1)
        joined = torch.stack([torch.outer(g, f).flatten() for f, g in zip(features, shares, strict=True)])
        weight = 1 + (shares * shares.log()).sum(1).exp()
        logits.append(cdan.discriminator(joined).detach().sigmoid().double())
        labels += [label] * len(joined)
        weights.append(weight / weight.mean())
    expected = log_loss(labels, torch.cat(logits).numpy(), sample_weight=torch.cat(weights).numpy())
    assert cdan(network, batches)["cdan"].item() == pytest.approx(expected, rel=1e-5)
    plain = Cdan(context, hidden=5, entropy=False)
    plain.load_state_dict(cdan.state_dict())
    assert plain(network, batches)["cdan"].item() == pytest.approx(log_loss(labels, torch.cat(logits).numpy()), rel=1e-5)


def test_cdan_without_entropy_is_half_of_skadas_on_the_same_product():
    context, network = adaptation_context()
    cdan, batches = Cdan(context, entropy=False), batch_of(context)
    head = next(iter(network.head.values()))

    class Classifier(nn.Module):
        """Predicts shares, for skada multiplies by whatever is predicted."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, features):
            return head(self.layer(features)).softmax(1)

    class Opposite(nn.Module):
        def forward(self, joined):
            return (-cdan.discriminator(joined)).sigmoid()

    theirs = skada("deep._adversarial").CDANModule(Classifier(), "layer", Opposite())
    found = {}
    for side, role in [("s", "source"), ("t", "unlabeled")]:
        _, domain, features, *_ = theirs(network.features(batches[role]))
        found |= {f"domain_pred_{side}": domain, f"features_{side}": features}
    assert torch.allclose(cdan(network, batches)["cdan"], skada("deep._adversarial").CDANLoss()(**found) / 2)


def test_random_products_are_as_large_as_whole_ones():
    """`E <T(f, g), T(f', g')> = <f, f'> <g, g'>`, which is what the whole product gives."""
    context, _ = adaptation_context()
    torch.manual_seed(0)
    features, predictions = torch.randn(2, 8), torch.rand(2, 3).softmax(1)
    whole = Cdan(context).joined(features, predictions)
    cdan = Cdan(context, randomised=200_000, hidden=1)
    drawn = cdan.joined(features, predictions)
    assert drawn.shape == (2, 200_000)
    assert torch.allclose(drawn @ drawn.T, whole @ whole.T, rtol=0.05, atol=0.05)
    assert not any(name.startswith("random") for name in cdan.state_dict())
    again = Cdan(context, randomised=200_000, hidden=1)
    assert torch.equal(again.random_features, cdan.random_features)


def test_products_beyond_the_papers_limit_are_random(monkeypatch):
    context, network = adaptation_context()
    assert Cdan(context).randomised is None  # 8 * 3
    monkeypatch.setattr("xlearn.objectives.adaptation.cdan.LARGEST", 20)
    cdan = Cdan(context)
    assert cdan.randomised == 20
    assert cdan(network, batch_of(context))["cdan"].isfinite()


def test_no_gradient_goes_through_cdans_predictions():
    context, network = adaptation_context(steps=1)
    cdan = Cdan(context)
    set_progress(cdan, 1)
    cdan(network, batch_of(context))["cdan"].backward()
    assert all(parameter.grad is None for parameter in network.head.parameters())


def test_a_product_of_no_dimensions_is_refused():
    context, _ = adaptation_context()
    with pytest.raises(Problem, match="cdan: randomised=0"):
        Cdan(context, randomised=0)
