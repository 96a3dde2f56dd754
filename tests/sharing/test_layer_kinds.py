"""The layers that low-rank parts reach: known by what they compute; the others are named with a reason."""

import copy

import pytest
import torch
from torch import nn
from toys.modalities import ENCODERS, network_for, random_task
from toys.sharings import added

from xlearn.data.task import Task
from xlearn.encoders.efficientnet_lite0 import SameConv2d
from xlearn.encoders.hf import HuggingFaceText
from xlearn.networks.network import Network
from xlearn.networks.unshared import Unshared
from xlearn.runtime.errors import Problem
from xlearn.sharing.adapter import Adapter
from xlearn.sharing.layer_kinds import NO_WEIGHT, kind
from xlearn.sharing.lora import Lora
from xlearn.sharing.together import Parts, alone


class Transposed(nn.Module):
    """`x W + b` as in transformers' `Conv1D`, but a class that nobody knows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.weight / self.weight.std(), self.bias)


class Scaled(nn.Embedding):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(numbers)


class Renamed(nn.Linear):
    """As torch's `NonDynamicallyQuantizableLinear`."""


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(4, 4), "linear"),
        (Renamed(4, 3), "linear"),
        (Transposed(4, 4), "transposed"),
        (Transposed(4, 3), "transposed"),
        (Doubled(4, 3), "other layers"),
        (nn.Conv1d(4, 3, 5), "convolution"),
        (SameConv2d(4, 3, 3), "convolution"),
        (Standardised(4, 3, 3), "other layers"),
        (nn.Conv2d(4, 4, 3, groups=2), "grouped convolutions"),
        (nn.ConvTranspose1d(4, 3, 3), "other layers"),
        (nn.Embedding(5, 4), "embedding"),
        (Scaled(5, 4), "scaled embeddings"),
        (nn.Embedding(5, 4, max_norm=1.0), "embeddings with max_norm"),
        (nn.LSTM(4, 3), "recurrent layers"),
        (nn.MultiheadAttention(4, 2), "the joint projection of torch's attention"),
        (nn.Bilinear(4, 4, 3), "other layers"),
        (nn.LayerNorm((4, 3)), "other layers"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), NO_WEIGHT),
    ],
)
def test_a_layer_is_known_by_what_it_computes(layer, expected):
    before = torch.get_rng_state()
    assert kind(layer) == expected
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind_of_parts", [Lora, Adapter])
def test_a_transposed_layer_is_the_linear_layer_of_the_transposed_weight(kind_of_parts):
    network, given = added(kind_of_parts, "mlp", rank=1)
    layers = {path: module for path, module in network.named_modules() if type(module) is nn.Linear and path[:8] == "encoder."}
    turned = copy.deepcopy(network)
    for path, module in layers.items():
        other = Transposed(module.in_features, module.out_features)
        other.weight.data, other.bias.data = module.weight.data.T.clone(), module.bias.data.clone()
        turned.set_submodule(path, other)
    turned.sharing = Unshared()
    torch.manual_seed(3)
    turned.sharing = Parts([kind_of_parts(turned, {"target": given}, rank=1)])
    assert turned.sharing.report()[0]["layers"] == network.sharing.report()[0]["layers"] != []
    with torch.no_grad():
        for one, other in zip(network.sharing.parameters(), turned.sharing.parameters(), strict=True):
            other.copy_(one.add_(0.3))
    batch = given.train.take(torch.arange(6))
    torch.testing.assert_close(turned(batch), network(batch))
    torch.testing.assert_close(alone(turned, "target", batch.space.key)(batch), network(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", [*ENCODERS])
def test_every_matrix_has_a_part_or_a_reason(encoder):
    if encoder == "resnet18":
        network, _ = added(Lora, encoder, rank=1, largest=0.1)
    else:
        network, _ = added(Lora, encoder, rank=1)
    [report] = network.sharing.report()
    named = [*report["layers"], *(path for paths in report["without"].values() for path in paths)]
    assert len(named) == len({*named})
    matrices = [name for name, each in network.named_parameters() if each.ndim > 1 and name.startswith(("encoder.", "fusion."))]
    assert matrices
    for name in matrices:
        assert sum(name == path or name.rpartition(".")[0] == path for path in named) == 1, name


def test_a_pattern_of_layers_without_parts_is_refused_with_the_reason():
    with pytest.raises(Problem, match=r"'\*.layers.*' matches only encoder.text.* without low-rank parts \(recurrent layers\)"):
        added(Lora, "lstm", rank=1, layers=["*.layers.*", "*embedding*"])
    with pytest.raises(Problem, match="for '\\*.blocks.0.0' every part would have more than 0.1 of its layer's numbers"):
        added(Lora, "cnn", rank=2, layers=["*.blocks.0.0", "*"], largest=0.1)


def gpt2(layers: list[str]) -> tuple[Network, Task]:
    transformers = pytest.importorskip("transformers")
    spec, _ = ENCODERS["transformer"]
    config = transformers.GPT2Config(
        n_embd=8, n_layer=2, n_head=2, n_positions=12, vocab_size=spec.vocabulary,
        attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0,
    )  # fmt: skip
    model = transformers.GPT2Model(config)
    encoder = HuggingFaceText.__new__(HuggingFaceText)
    nn.Module.__init__(encoder)
    encoder.pool, encoder.model, encoder.width = "mean", model, 8
    encoder.least, encoder.by_length = 1, False
    given = random_task("target", [spec])
    network = network_for({"target": given}, {"text": (spec, lambda _: encoder)})
    network.sharing = Parts([Lora(network, {"target": given}, rank=2, alpha=6.0, layers=layers)])
    return network, given


@pytest.mark.slow  # the imports alone take seconds
@pytest.mark.filterwarnings("default")
def test_gpt2_has_the_parts_of_peft():
    """Outputs, gradients and merged weights of the whole model, with its transposed linear layers."""
    from peft import LoraConfig, get_peft_model

    network, given = gpt2(["*.c_attn", "*.mlp.c_proj"])
    [report] = network.sharing.report()
    assert len(report["layers"]) == 4
    assert report["without"]["layers that `layers` does not name"][0].endswith(".wte")
    model = network.encoder["text"].model
    config = LoraConfig(
        r=2, lora_alpha=6.0, target_modules=["c_attn", "mlp.c_proj"],
        lora_dropout=0.0, fan_in_fan_out=True, init_lora_weights=False,
    )  # fmt: skip
    theirs = get_peft_model(copy.deepcopy(model), config)
    with torch.no_grad():
        for path in report["layers"]:
            part = network.sharing.parts[0]._part("target", path)
            other = theirs.base_model.model.get_submodule(path.removeprefix("encoder.text.model."))
            down, up = other.lora_A["default"].weight, other.lora_B["default"].weight
            part.down.copy_(down), part.up.copy_(up)
    batch = given.train.take(torch.arange(6))
    reference = copy.deepcopy(network)
    reference.sharing = Unshared()
    reference.encoder["text"].model = theirs
    own, expected = network(batch), reference(batch)
    torch.testing.assert_close(own, expected)
    bare = copy.deepcopy(network)
    bare.sharing = Unshared()
    assert not torch.allclose(bare(batch), own, atol=1e-3)
    own.square().sum().backward()
    theirs = reference.encoder["text"].model
    expected.square().sum().backward()
    others = dict(theirs.named_parameters())
    for path in report["layers"]:
        part = network.sharing.parts[0]._part("target", path)
        name = f"base_model.model.{path.removeprefix('encoder.text.model.')}"
        torch.testing.assert_close(part.down.grad, others[f"{name}.lora_A.default.weight"].grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(part.up.grad, others[f"{name}.lora_B.default.weight"].grad, rtol=1e-4, atol=1e-6)
    merged, unloaded = alone(network, "target", batch.space.key), theirs.merge_and_unload()
    for path in report["layers"]:
        found = merged.get_submodule(path).weight
        torch.testing.assert_close(found, unloaded.get_submodule(path.removeprefix("encoder.text.model.")).weight)
    torch.testing.assert_close(merged(batch), own, rtol=1e-4, atol=1e-5)
