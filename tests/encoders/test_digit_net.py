"""The digit networks of `ccexam` against their published form, and the source models that they are."""

import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional as transforms

from xlearn.data.task import Examples, ImageSpec
from xlearn.data.tasks._optdigits import optdigits
from xlearn.encoders import digit_net as encoders
from xlearn.encoders.digit_net import CLASSES, DigitNet, published
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import Network, load
from xlearn.pretrain import _digit_net as pretrain
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine
from xlearn.trunks.mlp import MlpTrunk

CPU = Machine(torch.device("cpu"), "fp32", 1)
MEANS = {"svhn": ([0.4377, 0.4438, 0.4728], [0.1980, 0.2010, 0.1970]), "usps": ([0.2471], [0.2994])}
SIDES = {"svhn": 32, "usps": 16}


def form(net):
    """The network of the package as a plain stack, its statistics as after training."""

    def convolution(before, after):
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]

    if net == "svhn":
        stages = [[*convolution(a, b), *convolution(b, b), nn.MaxPool2d(2)] for a, b in ((3, 32), (32, 64), (64, 128))]
        dense = [nn.Dropout(0.3), nn.Linear(2048, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10)]
    else:
        stages = [[*convolution(a, b), nn.MaxPool2d(2)] for a, b in ((1, 32), (32, 64))]
        dense = [nn.Dropout(0.3), nn.Linear(1024, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
    torch.manual_seed(0)
    whole = nn.Sequential(*(layer for stage in stages for layer in stage), nn.Flatten(), *dense).eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            # Some scales are below 0: pooling before them would be something else.
            module.weight.data.uniform_(-1.4, 1.4)
            module.bias.data.normal_(0, 0.2)
    return whole


def images(channels, side, count=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def prepared(net, given):
    """Resized and normalised by torchvision, as the package does."""
    if net == "usps" and given.shape[1] == 3:
        given = given.float().mean(1, keepdim=True)
    given = given.expand(-1, 3, -1, -1) if net == "svhn" else given
    side = SIDES[net]
    resized = transforms.resize(given.float(), [side, side], antialias=True)
    return transforms.normalize(resized / 255, *MEANS[net])


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32), (1, 16)])
@pytest.mark.parametrize("net", ["svhn", "usps"])
def test_features_are_those_of_the_published_network(net, channels, side):
    whole, given = form(net), images(channels, side)
    encoder = DigitNet(ImageSpec(channels, side, side), net=net).eval()
    encoder.load_published(whole.state_dict())
    with torch.no_grad():
        found, expected = encoder(given).values, whole[:-2](prepared(net, given))
    assert found.shape == (6, 1, encoder.width) and expected.std() > 1e-2
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(("net", "other"), [("svhn", "usps"), ("usps", "svhn")])
def test_other_weights_are_refused(net, other):
    with pytest.raises(ValueError, match=f"the published {net} weights have other shapes"):
        DigitNet(ImageSpec(1, 8, 8), net=net).load_published(form(other).state_dict())


@pytest.fixture
def weights(monkeypatch):
    """In the place of the published ones, which are on the package index."""
    nets = {net: form(net) for net in SIDES}
    for module in (encoders, pretrain):
        monkeypatch.setattr(module, "published", lambda net: nets[net].state_dict())
    return nets


def network(encoder, classes=CLASSES, trunk=None):
    space = Classes("digits", classes)
    width = encoder.width if trunk is None else trunk.width
    heads = {space.key: nn.Linear(width, len(classes)), Classes("other", ("a", "b")).key: nn.Linear(width, 2)}
    return Network({"image": encoder}, Concat({"image": encoder.width}), heads, trunk)


@pytest.mark.parametrize("net", SIDES)
def test_the_whole_source_model_is_brought_its_head_among_it(net, weights):
    spec, given = ImageSpec(1, 8, 8), images(1, 8)
    source = network(DigitNet(spec, net=net, weights="published"))
    brought = pretrain.digit_net(source)
    target = network(DigitNet(spec, net=net))
    load(target, brought)
    [head, other] = source.head
    assert brought.keys() == {name for name in target.state_dict() if not name.startswith(f"head.{other}")}
    examples = Examples({"image": given}, torch.zeros(6, dtype=torch.int64), torch.arange(6), Classes("digits", CLASSES))
    assert examples.space.key == head
    with torch.no_grad():
        expected = weights[net](prepared(net, given))
    torch.testing.assert_close(logits(target, examples, CPU), expected, rtol=1e-4, atol=1e-4)
    assert features(target, examples, CPU).shape == (6, source.width)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda spec: network(Mlp(spec, widths=[8])), "loads the weights of encoder/image=digit_net. Choose that encoder"),
        (lambda spec: network(DigitNet(spec), classes=("cat", "dog")), "the task has other classes"),
        (lambda spec: network(DigitNet(spec), classes=tuple(reversed(CLASSES))), "the task has other classes"),
        (
            lambda spec: network(DigitNet(spec), trunk=MlpTrunk(256, widths=[32])),
            "from the encoder's features, but its features go through something else",
        ),
    ],
    ids=["another encoder", "other classes", "in another order", "a trunk"],
)
def test_what_is_no_such_model_is_refused(made, told, weights):
    with pytest.raises(Problem, match=told):
        pretrain.digit_net(made(ImageSpec(1, 8, 8)))


@pytest.mark.slow
def test_the_network_of_house_numbers_reads_optical_digits():
    """Without any training: the published weights, and eight by eight pixels."""
    try:
        published("svhn")
    except Problem as problem:
        pytest.skip(f"the package index is out of reach: {problem}")
    data = optdigits()
    source = network(DigitNet(ImageSpec(1, 8, 8), net="svhn", weights="published"))
    load(source, pretrain.digit_net(source))
    space = Classes("digits", data.classes)
    examples = Examples({"image": data.inputs["image"]}, data.labels, torch.arange(len(data.labels)), space)
    right = (logits(source, examples, CPU).argmax(1) == data.labels).float().mean()
    assert float(right) > 0.7
