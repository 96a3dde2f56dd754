"""Low-rank parts and adapters as fine-tuning: where they stand, what they leave, and the reference."""

import copy

import pytest
import torch
from torch import nn
from toys.runs import only as only_result
from toys.sharings import added

from xlearn.commands.train import main
from xlearn.encoders.efficientnet_lite0 import SameConv2d
from xlearn.networks.unshared import Unshared
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import read_tensors
from xlearn.sharing.adapter import Adapter
from xlearn.sharing.lora import Lora, LowRank, _adapted
from xlearn.sharing.together import alone
from xlearn.trainable._only import only


@pytest.mark.parametrize("kind", [Lora, Adapter])
def test_layers_are_chosen_by_patterns(kind):
    network, _ = added(kind, "transformer", rank=1, layers=["*.out", "*.blocks.1.*"])
    [part] = network.sharing.parts
    every, _ = added(kind, "transformer", rank=1)
    paths = every.sharing.parts[0].paths["target"]
    assert part.paths["target"] == [path for path in paths if path.endswith(".out") or ".blocks.1." in path] != []
    assert set(only(network, patterns=["sharing.*"])) == {f"sharing.{name}" for name, _ in network.sharing.named_parameters()}
    for options, told in (
        ({"layers": ["*.ouut"]}, "layers: '\\*.ouut' matches no layer"),
        ({"rank": 0}, "rank=0: give 1 or more"),
        ({"rank": 9}, "rank=9: encoder.text.* has rank 8 at most. Give 1 to 8"),
    ):
        with pytest.raises(Problem, match=told):
            added(kind, "transformer", **options)


def test_parts_that_save_little_are_left_out():
    every, _ = added(Lora, "cnn", rank=2)
    some, _ = added(Lora, "cnn", rank=2, largest=0.5)
    paths = {name: [*network.sharing.parts[0].paths["target"]] for name, network in (("every", every), ("some", some))}
    for path in paths["every"]:
        weight = every.get_submodule(path).weight
        share = 2 * (len(weight) + weight[0].numel()) / weight.numel()
        assert (path in paths["some"]) == (share <= 0.5)
    assert 0 < len(paths["some"]) < len(paths["every"])
    with pytest.raises(Problem, match="every part would have more than 0.01 of its layer's numbers"):
        added(Lora, "cnn", rank=2, largest=0.01)
    with pytest.raises(Problem, match="largest=0: give a share"):
        added(Lora, "cnn", rank=2, largest=0)


def test_without_a_layer_it_is_refused():
    with pytest.raises(Problem, match="no layer for low-rank parts"):
        added(Adapter, "lstm", rank=1)


@pytest.mark.parametrize("encoder", ["cnn", "mlp", "text_cnn", "audio_cnn", "lstm"])
@pytest.mark.parametrize("kind", [Lora, Adapter])
def test_frozen_weights_get_no_gradient_and_parts_merge_away(kind, encoder):
    if (kind, encoder) == (Adapter, "lstm"):
        return
    network, given = added(kind, encoder, rank=1)
    trained = only(network, patterns=["sharing.*", "head.*"])
    with torch.no_grad():
        for parameter in network.sharing.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)
    batch = given.train.take(torch.arange(6))
    nn.functional.cross_entropy(network.train()(batch), batch.labels).backward()
    assert {name for name, parameter in network.named_parameters() if parameter.grad is not None} == set(trained)
    with torch.no_grad():
        together = network.eval()(batch)
        merged = alone(network, "target", batch.space.key)
        torch.testing.assert_close(merged(batch), together, rtol=1e-4, atol=1e-5)
        bare = copy.deepcopy(network)
        bare.sharing = Unshared()
        assert not torch.allclose(bare(batch), together, atol=1e-3)
    assert not any(name.startswith("sharing.") for name in merged.state_dict())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 5), (3, 6)),
        (nn.Linear(6, 5, bias=False), (3, 4, 6)),
        (nn.Conv1d(6, 5, 3, stride=2, padding=1), (3, 6, 9)),
        (nn.Conv2d(6, 5, 3, padding="same", dilation=2), (3, 6, 8, 8)),
        (nn.Conv2d(6, 5, (1, 3), padding=(0, 1), padding_mode="circular"), (3, 6, 8, 8)),
        (SameConv2d(6, 5, 3, stride=2), (3, 6, 9, 9)),  # pads in a way of its own
    ],
)
def test_the_forward_pass_is_that_of_the_whole_weight(layer, shape):
    """`W + alpha / rank B A`, and the gradients that this has."""
    torch.manual_seed(0)
    part, x = LowRank(layer, 2, 3.0), torch.randn(shape, requires_grad=True)
    nn.init.normal_(part.up)
    whole = {"weight": layer.weight.detach() + 1.5 * (part.up @ part.down).view(layer.weight.shape)}
    expected = torch.func.functional_call(layer, whole, (x,))
    found = _adapted(layer, part)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), [x, part.up, part.down]),
        torch.autograd.grad(expected.square().sum(), [x, part.up, part.down]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_what_is_saved_is_the_plain_network(method, toy):
    assert main([*toy, f"transfer={method}", "transfer.phases.finetune.steps=5"]) == 0
    folder, _ = only_result()
    names = set(read_tensors(folder / "weights.safetensors"))
    assert {name.partition(".")[0] for name in names} == {"encoder", "head"}


class Model(nn.Module):
    """A convolution, an embedding and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.word = nn.Embedding(11, 6)
        self.dense = nn.Linear(6, 5)

    def forward(self, images: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return self.dense(self.conv(images).mean((2, 3)) + self.word(numbers).mean(1))


@pytest.mark.slow  # the import alone takes seconds
@pytest.mark.filterwarnings("default")
def test_forward_pass_gradients_and_merge_are_those_of_peft():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    plain, alpha, rank = Model(), 6.0, 2
    images, numbers = torch.randn(4, 3, 8, 8), torch.randint(0, 11, (4, 7))
    names = ["conv", "word", "dense"]
    theirs = get_peft_model(
        copy.deepcopy(plain),
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, lora_dropout=0.0, init_lora_weights=False),
    )
    parts = {name: LowRank(plain.get_submodule(name), rank, alpha) for name in names}
    of_theirs = {}
    with torch.no_grad():
        for name, part in parts.items():
            other = theirs.base_model.model.get_submodule(name)
            if name == "word":  # stored as its transpose: rows of A are looked up
                down, up = other.lora_embedding_B["default"], other.lora_embedding_A["default"]
                part.up.copy_(up.T), part.down.copy_(down.T)
            else:
                down, up = other.lora_A["default"].weight, other.lora_B["default"].weight
                part.down.copy_(down.flatten(1)), part.up.copy_(up.flatten(1))
            of_theirs[name] = (down, up)
    for name, part in parts.items():
        layer = plain.get_submodule(name)
        layer.forward = _adapted(layer, part)
    ours, reference = plain(images, numbers), theirs(images, numbers)
    torch.testing.assert_close(ours, reference)
    ours.square().sum().backward()
    reference.square().sum().backward()
    for name, part in parts.items():
        down, up = (each.grad.flatten(1) for each in of_theirs[name])
        own = (part.down.grad, part.up.grad)
        for one, other in zip(own, (down.T, up.T) if name == "word" else (down, up), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    merged = theirs.merge_and_unload()
    for name, part in parts.items():
        layer = plain.get_submodule(name)
        torch.testing.assert_close(layer.weight + part.delta(), merged.get_submodule(name).weight)
