"""The components of a run: which encoders begin with weights of their own."""

from dataclasses import replace
from functools import partial

import pytest

from xlearn.config.compose import choices, complete, composed, register
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.digit_net import DigitNet
from xlearn.plan.build import build


@pytest.fixture(scope="module")
def components():
    register([])
    config = composed([], [])
    return build({**complete(config), "choices": choices(config.hydra)})


@pytest.mark.parametrize(
    ("encoder", "brings"),
    [
        (partial(DigitNet, weights="published"), True),
        (partial(DigitNet, weights=None), False),
        (partial(DigitNet), True),  # as after `~encoder.image.weights`: the option's default counts
        (partial(Cnn, widths=[4], dense=4), False),
    ],
)
def test_an_encoder_brings_weights_by_its_option_or_the_default_of_it(encoder, brings, components):
    made = replace(components, encoders={"image": encoder})
    assert made.pretrained_of("target") == (frozenset({"image"}) if brings else frozenset())


def test_without_its_weights_option_an_encoder_of_the_baseline_is_random_all_the_same(components, monkeypatch):
    """`plan.network(weights=False)` asks the signature of the encoder, not what its configuration happens to name."""
    from xlearn.data.task import ImageSpec
    from xlearn.label_spaces.classes import Classes

    loaded = []
    monkeypatch.setattr(DigitNet, "load_published", lambda self, state: loaded.append(state))
    monkeypatch.setattr("xlearn.encoders.digit_net.published", lambda net: {})
    made = replace(components, encoders={"image": partial(DigitNet)})
    spec, space = ImageSpec(1, 28, 28), Classes("digits", ("a", "b"))
    made.network({"image": spec}, [space], "target", weights=False)
    assert not loaded
    made.network({"image": spec}, [space], "target", weights=True)
    assert len(loaded) == 1
