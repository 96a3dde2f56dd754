"""AFN: norms of features that grow step by step."""

import torch
from toys.contexts import batch_of, loss_of

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.adaptation.afn import Afn, stepwise


def test_afn_by_hand() -> None:
    features = torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], requires_grad=True)
    loss = stepwise(features, 0.5)
    loss.backward()
    assert loss.item() == 0.25
    # -2 delta f / ||f|| / n: longer is better, in the direction that it has; 0 has none.
    assert features.grad is not None
    assert torch.allclose(features.grad, -torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]) / 3)


def test_afn_makes_features_longer() -> None:
    loss, context, network = loss_of(Afn, weight=0.05, delta=2.0)
    assert torch.allclose(loss, torch.tensor(2 * 0.05 * 4))
    loss.backward()
    before = network.features(batch_of(context)[UNLABELED]).norm(dim=1).mean()
    with torch.no_grad():
        for each in network.encoder.parameters():
            each -= 0.01 * each.grad
    assert network.features(batch_of(context)[UNLABELED]).norm(dim=1).mean() > before
