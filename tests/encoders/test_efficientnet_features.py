"""Features of a frozen EfficientNet-Lite0: those of the network itself, once per data set."""

from functools import partial

import pytest
import torch

from xlearn.data.modalities import Pool
from xlearn.data.task import ImageSpec, VectorSpec
from xlearn.data.tasks import Raw
from xlearn.encoders import efficientnet_features
from xlearn.encoders.efficientnet_features import EfficientNetFeatures
from xlearn.encoders.efficientnet_lite0 import EfficientNetLite0
from xlearn.runtime.errors import Problem


def pool(channels: int = 1, count: int = 70) -> Pool:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, 12, 12), generator=generator, dtype=torch.uint8)
    raw = Raw({"image": images}, torch.arange(count) % 2, ("a", "b"), "toy")
    return Pool("toy", raw, f"print-{channels}", torch.arange(0))


@pytest.fixture
def untrained(monkeypatch):
    """Random weights in the place of the published ones; counts how often the network is built."""
    built = []

    def build(spec: ImageSpec, *, weights: str | None, size: int) -> EfficientNetLite0:
        assert weights == "imagenet"
        built.append(size)
        torch.manual_seed(0)
        return EfficientNetLite0(spec, size=size)

    monkeypatch.setattr(efficientnet_features, "EfficientNetLite0", build)
    build.width = EfficientNetLite0.width
    return built


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_the_network_and_computed_once(own_cache, untrained, channels):
    given = EfficientNetFeatures.format([], {}, size=32)
    assert given.spec == VectorSpec(1280, "efficientnet_lite0 at 32")
    found, notes = given(pool(channels))
    again, _ = given(pool(channels))
    assert untrained == [32] and torch.equal(found, again) and notes == {}
    torch.manual_seed(0)
    network = EfficientNetLite0(ImageSpec(3, 32, 32), size=32).eval()
    images = pool(channels).raw.inputs["image"].expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(found, network(images).values[:, 0], atol=1e-4)
    encoder = EfficientNetFeatures(given.spec)
    tokens = encoder(found[:5])
    assert torch.equal(tokens.values[:, 0], found[:5]) and not list(encoder.parameters())


def test_another_number_of_threads_computes_its_own(own_cache, untrained):
    given = EfficientNetFeatures.format([], {}, size=32)
    given(pool())
    try:
        torch.set_num_threads(2)
        given(pool())
    finally:
        torch.set_num_threads(1)
    assert untrained == [32, 32]


def test_a_size_without_a_picture_left_is_told():
    with pytest.raises(Problem, match="encoder.image.size=8: give 32 or more"):
        partial(EfficientNetFeatures.format, size=8)([], {})
