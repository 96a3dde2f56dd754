"""The usual rates: those of an encoder with pretrained weights are lower, unless a phase sets rates."""

from dataclasses import replace
from functools import partial

import pytest
from torch import nn
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.config.compose import choices, complete, composed, register
from xlearn.data.modalities.image import ImageSpec
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Tokens
from xlearn.plan.build import build
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate
from xlearn.trainable._frozen import frozen
from xlearn.trainable._head_and_backbone import head_and_backbone

SPACE, SPEC = Classes("digits", ("a", "b")), ImageSpec(1, 8, 8)


class Small(nn.Module):
    width = 3

    def __init__(self, spec, *, weights: str | None = "published", rate: float = 0.2) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images):
        return Tokens(self.layer(images.flatten(1)).unsqueeze(1))


@pytest.fixture(scope="module")
def components():
    register([])
    config = composed(["trunk=mlp"], [])
    return build({**complete(config), "choices": choices(config.hydra)})


EVERYTHING = partial(frozen, patterns=[])


def rates(network, trainable=EVERYTHING) -> dict[str, set[float]]:
    found: dict[str, set[float]] = {}
    for name, rate in trainable(network).items():
        found.setdefault(name.partition(".")[0], set()).add(rate.multiplier)
    return found


def test_an_encoder_with_its_weights_trains_at_its_rate_and_the_rest_at_the_full_one(components):
    made = replace(components, encoders={"image": partial(Small)})
    network = made.network({"image": SPEC}, [SPACE], "target", weights=True)
    assert rates(network) == {"encoder": {0.2}, "trunk": {1.0}, "head": {1.0}}
    # A phase that sets rates has its own.
    assert rates(network, partial(head_and_backbone, head=1.0, backbone=0.5)) == {
        "encoder": {0.5},
        "trunk": {0.5},
        "head": {1.0},
    }


@pytest.mark.parametrize(
    ("encoder", "weights", "expected"),
    [
        (partial(Small), False, 1.0),  # of the baseline from scratch
        (partial(Small, weights=None), True, 1.0),
        (partial(Small, rate=1.0), True, 1.0),
        (partial(Small, rate=0.7), True, 0.7),
    ],
)
def test_random_weights_train_at_the_full_rate(encoder, weights, expected, components):
    made = replace(components, encoders={"image": encoder})
    assert rates(made.network({"image": SPEC}, [SPACE], "target", weights=weights))["encoder"] == {expected}


def test_a_network_without_pretrained_weights_has_the_full_rate():
    assert {*frozen(image_network(random_images()), patterns=[]).values()} == {Rate()}


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_not_above_0_is_refused(rate):
    register([])
    config = composed(["encoder/image=efficientnet_lite0", f"encoder.image.rate={rate}"], [])
    with pytest.raises(Problem, match=f"encoder.image.rate={rate}: give more than 0"):
        build({**complete(config), "choices": choices(config.hydra)})
