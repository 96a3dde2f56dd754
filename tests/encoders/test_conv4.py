"""The four blocks: against the network as the papers write it, counted, and on images of any size."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from xlearn.data.task import ImageSpec
from xlearn.encoders.conv4 import Conv4
from xlearn.runtime.errors import Problem

FOUR = [64, 64, 64, 64]


def images(channels=1, height=28, width=28, count=6):
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def published(encoder, widths, normalised):
    """Convolution, normalisation, ReLU, then pooling; with the encoder's weights."""
    layers = []
    for before, after in pairwise([1, *widths]):
        layers += [nn.Conv2d(before, after, 3, padding=1)] + normalised * [nn.BatchNorm2d(after)] + [nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten())
    given = list(encoder.state_dict().values())
    network.load_state_dict(dict(zip(network.state_dict(), given, strict=True)))
    return network


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("normalisation", ["batch", "none"])
def test_it_is_the_published_network_with_the_pooling_before_the_relu(normalisation, training):
    encoder = Conv4(ImageSpec(1, 28, 28), widths=[8, 6, 5, 4], normalisation=normalisation).train()
    encoder(images(count=20))  # the running means are no longer the first ones
    network = published(encoder, [8, 6, 5, 4], normalisation == "batch").train(training)
    found = encoder.train(training)(images()).values
    assert found.shape == (6, 1, 4)
    torch.testing.assert_close(found[:, 0], network(images().float() / 127.5 - 1), rtol=1e-4, atol=1e-5)


def test_parameters_and_features_are_counted():
    encoder = Conv4(ImageSpec(1, 28, 28), widths=FOUR)
    # Filters of 3 x 3 x 1 and three times 3 x 3 x 64, each with a bias; weight and bias of four normalisations.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 64 * 10 + 3 * 64 * 577 + 4 * 128 == 111_936
    assert encoder.width == 64 and len(encoder.blocks) == 4
    assert Conv4(ImageSpec(3, 84, 84), widths=FOUR).width == 1600  # miniImageNet: 64 x 5 x 5


@pytest.mark.parametrize(
    ("height", "width", "flat"), [(1, 1, 4), (2, 2, 4), (3, 9, 16), (8, 8, 4), (28, 28, 4), (33, 16, 8), (105, 105, 144)]
)
def test_images_of_any_size_are_pooled_no_further_than_to_a_point(height, width, flat):
    encoder = Conv4(ImageSpec(2, height, width), widths=[3, 3, 3, 4], normalisation="none")
    assert encoder.width == flat and encoder(images(2, height, width)).values.shape == (6, 1, flat)


@pytest.mark.parametrize(("normalisation", "count"), [("batch", 4), ("none", 0)])
def test_normalisation_is_in_every_block_or_in_none(normalisation, count):
    encoder = Conv4(ImageSpec(1, 8, 8), widths=FOUR, normalisation=normalisation)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()) == count


def test_every_parameter_is_trained():
    torch.manual_seed(0)
    encoder = Conv4(ImageSpec(1, 28, 28), widths=[4, 4, 4, 4])
    encoder(images()).values.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        # The batch normalisation behind it takes away what a bias adds.
        assert "0.bias" in name or bool(parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize("widths", [[], [64, 0]])
def test_layers_without_a_size_are_told(widths):
    with pytest.raises(Problem, match="encoder.image: widths="):
        Conv4(ImageSpec(1, 28, 28), widths=widths)
