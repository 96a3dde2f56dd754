"""Focal loss: by hand, without focus, and beside torchvision's."""

import pytest
import torch
from toys.contexts import fixed_context
from toys.networks import LOGITS, Fixed
from toys.tasks import labelled_batch

from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.focal import Focal
from xlearn.runtime.errors import Problem


def test_focal_loss_by_hand_and_without_focus():
    p = torch.tensor(LOGITS).softmax(1)[torch.arange(3), torch.tensor([0, 2, 1])]
    expected = (-((1 - p) ** 2) * p.log()).mean()
    assert Focal(fixed_context((6, 3, 0)), gamma=2.0)(Fixed(LOGITS), labelled_batch([0, 2, 1]))["a"].item() == pytest.approx(
        expected.item()
    )
    for kind in ("none", "balanced"):
        plain = CrossEntropy(fixed_context((6, 3, 0)), class_weights=kind)(Fixed(LOGITS), labelled_batch([0, 2, 1]))["a"]
        assert Focal(fixed_context((6, 3, 0)), gamma=0.0, class_weights=kind)(Fixed(LOGITS), labelled_batch([0, 2, 1]))[
            "a"
        ].item() == pytest.approx(plain.item())


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_focal_loss_has_a_gradient_where_p_rounds_to_one(gamma):
    network = Fixed([[200.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    loss = Focal(fixed_context((6, 3, 0)), gamma=gamma)(network, labelled_batch([0, 2]))["a"]
    loss.backward()
    assert network.logits.grad.isfinite().all() and network.logits.grad[0].abs().max() < 1e-3
    p = torch.tensor(network.logits.tolist()[1], dtype=torch.float64).softmax(0)[2]
    assert loss.item() == pytest.approx((-((1 - p) ** gamma) * p.log() / 2).item(), rel=1e-5)


def test_focal_loss_agrees_with_torchvision():
    """torchvision's is the sigmoid variant: the same for two classes, where softmax(z, 0) is sigmoid(z)."""
    from torchvision.ops import sigmoid_focal_loss

    z = torch.tensor([1.3, -0.4, 0.2])
    labels = torch.tensor([0, 1, 1])
    expected = sigmoid_focal_loss(z, (labels == 0).float(), alpha=-1, gamma=2.0, reduction="mean")
    network = Fixed(torch.stack([z, torch.zeros(3)], 1).tolist())
    found = Focal(PhaseContext(network, frozenset(), {"a": torch.tensor([1, 1])}), gamma=2.0)(network, labelled_batch(labels))[
        "a"
    ]
    assert found.item() == pytest.approx(expected.item())


def test_a_gamma_below_0_is_refused():
    with pytest.raises(Problem, match=r"objective.gamma=-0.5: give 0 \(cross-entropy\) or more"):
        Focal(fixed_context((6, 3, 0)), gamma=-0.5)
