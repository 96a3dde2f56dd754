"""EfficientNet-Lite0 against the package that its published weights come from."""

import math

import pytest
import torch
from torch import nn

from xlearn.data.task import ImageSpec
from xlearn.encoders.efficientnet_lite0 import MEMBER, WEIGHTS, EfficientNetLite0
from xlearn.runtime.storage import read_tensors

GREY, COLOUR = ImageSpec(1, 28, 28), ImageSpec(3, 32, 32)


def images(spec: ImageSpec, count: int = 4, seed: int = 0) -> torch.Tensor:
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture
def published_form():
    """The network of the package that the published weights belong to."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    whole = package.EfficientNet.from_name("efficientnet-lite0").eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            # As after training: otherwise a mistake in the statistics could not be seen.
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.7, 1.4)
            module.bias.data.normal_(0, 0.2)
    return whole


def compare(encoder: EfficientNetLite0, whole: nn.Module, side: int) -> None:
    given = images(ImageSpec(3, side, side), 2)
    with torch.no_grad():
        expected = whole.extract_features(given.float() / 127.5 - 1).mean((2, 3))
        found = encoder(given).values[:, 0]
    assert float(expected.std()) > 1e-2
    assert (found - expected).abs().max() < 1e-4 * max(1.0, float(expected.abs().max()))


def test_lite0_is_that_of_its_package(published_form):
    encoder = EfficientNetLite0(ImageSpec(3, 224, 224), size=None).eval()
    encoder.load_published(published_form.state_dict())
    compare(encoder, published_form, 224)


def test_lite0_refuses_other_weights(published_form):
    state = published_form.state_dict()
    state["_conv_stem.weight"] = torch.zeros(32, 1, 3, 3)
    with pytest.raises(ValueError, match="other shapes"):
        EfficientNetLite0(COLOUR).load_published(state)


@pytest.mark.parametrize("side", [32, 33, 47, 96])
def test_lite0_reads_every_size(side):
    sides = []
    encoder = EfficientNetLite0(COLOUR, size=side).eval()
    encoder.blocks[-1].register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert encoder(images(COLOUR, 2)).values.shape == (2, 1, 1280)
    assert sides == [math.ceil(side / 32)]  # `same` padding: five halvings, rounded up each time


@pytest.mark.slow
def test_lite0_with_its_published_weights(published_form):
    state = read_tensors(WEIGHTS.member(MEMBER))
    published_form.load_state_dict(state)
    encoder = EfficientNetLite0(ImageSpec(3, 224, 224), weights="imagenet", size=None).eval()
    compare(encoder, published_form.eval(), 224)
