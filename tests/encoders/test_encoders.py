"""Encoders: shapes, blocks, counts and weights, against hand-written networks and the packages they come from."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from xlearn.data.task import ImageSpec
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.efficientnet_lite0 import EfficientNetLite0
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.pixels import Pixels
from xlearn.encoders.torchvision_classifier import TorchvisionClassifier
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

GREY, COLOUR = ImageSpec(1, 28, 28), ImageSpec(3, 32, 32)
SMALL = {"widths": [32, 64, 64], "dense": 64}


def images(spec: ImageSpec, count: int = 4, seed: int = 0) -> torch.Tensor:
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def resnet18(spec: ImageSpec = GREY, **options) -> TorchvisionClassifier:
    return TorchvisionClassifier(spec, name="resnet18", **{"stem": "small", **options})


BUILT = {
    "cnn": (lambda spec: Cnn(spec, **SMALL), 64, 4),
    "mlp": (lambda spec: Mlp(spec, widths=[256, 128]), 128, 2),
    "resnet18": (resnet18, 512, 9),
    "efficientnet_lite0": (lambda spec: EfficientNetLite0(spec, size=32), 1280, 18),
}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_an_encoder_gives_one_token_and_trains_in_every_parameter(name, spec):
    torch.manual_seed(0)
    build, width, count = BUILT[name]
    encoder = build(spec)
    tokens = encoder(images(spec))
    assert encoder.width == width and tokens.values.shape == (4, 1, width) and tokens.mask is None
    assert tokens.values.dtype == torch.float32
    found = blocks(encoder, "encoder.image.")
    assert len(found) == count
    # Every parameter belongs to exactly one block.
    for parameter, _ in encoder.named_parameters():
        assert sum(f"encoder.image.{parameter}".startswith(prefix) for block in found for prefix in block) == 1
    tokens.values.square().sum().backward()
    for parameter, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.abs().sum() > 0), parameter


@pytest.mark.parametrize("name", BUILT)
def test_every_block_is_on_the_way(name):
    """Blocks stand from input to output: a change of block k leaves what the blocks before it give."""
    torch.manual_seed(0)
    build, _, count = BUILT[name]
    encoder = build(GREY).eval()
    modules = dict(encoder.named_modules())
    order = []
    for position, block in enumerate(blocks(encoder, "")):
        first = modules[block[0].rstrip(".")]
        first.register_forward_hook(lambda *_, position=position: order.append(position))
    encoder(images(GREY, 2))
    assert order == list(range(count))


def test_numbers_of_parameters():
    assert parameters(Mlp(GREY, widths=[256, 128])) == 784 * 256 + 256 + 256 * 128 + 128
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)
    assert parameters(Cnn(GREY, **SMALL)) == convolutions + 64 * 7 * 7 * 64 + 64
    assert parameters(Cnn(ImageSpec(1, 8, 8), **SMALL)) == convolutions + 64 * 2 * 2 * 64 + 64
    # Published: 11,689,512 of ResNet-18 less its 512 x 1000 + 1000; 4,652,008 of Lite0 less 1280 x 1000 + 1000.
    assert parameters(resnet18()) == 11_689_512 - 513_000
    assert parameters(EfficientNetLite0(COLOUR)) == 4_652_008 - 1_281_000


def test_the_cnn_is_the_usual_one_with_the_pooling_after_the_relu():
    torch.manual_seed(0)
    encoder = Cnn(GREY, **SMALL)
    given = images(GREY)
    first, second, third, dense = (block[-2] if number == 3 else block[0] for number, block in enumerate(encoder.blocks))
    x = given.float() / 127.5 - 1
    x = functional.max_pool2d(torch.relu(functional.conv2d(x, first.weight, first.bias, padding=1)), 2)
    x = functional.max_pool2d(torch.relu(functional.conv2d(x, second.weight, second.bias, padding=1)), 2)
    x = torch.relu(functional.conv2d(x, third.weight, third.bias, padding=1))
    x = torch.relu(x.flatten(1) @ dense.weight.t() + dense.bias)
    assert torch.allclose(encoder(given).values[:, 0], x, atol=1e-5)


def test_the_mlp_is_two_products():
    torch.manual_seed(0)
    encoder, given = Mlp(COLOUR, widths=[20, 10]), images(COLOUR)
    x = given.float().flatten(1) / 127.5 - 1
    for block in encoder.blocks:
        x = torch.relu(x @ block[0].weight.t() + block[0].bias)
    assert torch.allclose(encoder(given).values[:, 0], x, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_tiny_images_are_pooled_no_further_than_to_a_point(side):
    assert Cnn(ImageSpec(1, side, side), **SMALL)(images(ImageSpec(1, side, side))).values.shape == (4, 1, 64)


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    for encoder in (Cnn(GREY, **SMALL, dropout=0.5), Mlp(GREY, widths=[50], dropout=0.5)):
        given = images(GREY)
        assert not torch.equal(encoder(given).values, encoder(given).values)
        encoder.eval()
        assert torch.equal(encoder(given).values, encoder(given).values)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Mlp(GREY, widths=[]), lambda: Mlp(GREY, widths=[10, 0]), lambda: Cnn(GREY, widths=[8], dense=0),
        lambda: Mlp(GREY, widths=[10], dropout=1.5), lambda: Cnn(GREY, **SMALL, dropout=-0.1),
    ],
)  # fmt: skip
def test_layers_without_a_size_are_told(build):
    with pytest.raises(Problem, match=r"encoder\.image"):
        build()


# --- pixels ---


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pixels_are_normalised_by_the_formula(dtype):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    given = images(COLOUR).to(dtype)
    found = Pixels(mean, std)(given)
    for channel in range(3):
        expected = (given[:, channel].double() / 255 - mean[channel]) / std[channel]
        assert torch.allclose(found[:, channel].double(), expected, atol=1e-5)
    assert found.dtype == torch.float32
    assert torch.allclose(Pixels()(given), given.float() / 127.5 - 1, atol=1e-6)


def test_grey_is_repeated_before_each_channel_is_normalised():
    given = images(GREY)
    found = Pixels([0.1, 0.2, 0.3], [1.0, 2.0, 4.0], channels=3)(given)
    assert found.shape == (4, 3, 28, 28)
    for channel, (mean, std) in enumerate(((0.1, 1.0), (0.2, 2.0), (0.3, 4.0))):
        assert torch.allclose(found[:, channel], (given[:, 0] / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize("spec", [ImageSpec(3, 32, 32), ImageSpec(3, 20, 16), ImageSpec(1, 16, 20)])
def test_both_sides_are_resized(spec):
    given = images(spec)
    found = Pixels(0.0, 1 / 255, size=16)(given)
    expected = functional.interpolate(given.float(), (16, 16), mode="bilinear", antialias=True)
    assert found.shape[2:] == (16, 16) and torch.allclose(found, expected, atol=1e-3)


def test_pixels_own_nothing_that_is_saved():
    assert not Pixels().state_dict() and not list(Pixels().parameters())
