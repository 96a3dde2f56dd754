"""Examples without a modality are not encoded: whatever stands in their place has no influence, and they cost nothing."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.modalities import random_task
from toys.networks import pair_network
from toys.phases import CPU
from toys.tasks import pair_batch

from xlearn.base_learners.gradient_descent import GradientDescent
from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, Batch, Examples, ImageSpec, TabularSpec, TextSpec
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.conv4 import Conv4
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.text_cnn import TextCnn
from xlearn.fusion.concat import Concat
from xlearn.networks.evaluate import tokens
from xlearn.networks.network import Network
from xlearn.robustness._noise import noise

IMAGE, TEXT, AUDIO = ImageSpec(1, 12, 12), TextSpec(30, 9, "toy"), AudioSpec(8, 8000, "toy")
COUNT = 12


class Normalised(TextCnn):
    """A text encoder with batch normalisation."""

    def __init__(self, spec):
        super().__init__(spec, embedding=6, filters=4, kernels=[1, 2], dropout=0.0)
        self.norm = torch.nn.BatchNorm1d(self.width)

    def forward(self, texts):
        values, mask = super().forward(texts)
        return type(super().forward(texts))(self.norm(values[:, 0])[:, None], mask)


def network() -> Network:
    torch.manual_seed(0)
    encoders = {
        "image": Conv4(IMAGE, widths=[4, 4]),
        "text": Normalised(TEXT),
        "audio": AudioCnn(AUDIO, channels=[4], dense=6, dropout=0.0),
    }
    fusion = Concat({name: each.width for name, each in encoders.items()})
    return Network(encoders, fusion, {"toy": torch.nn.Linear(fusion.width, 3)})


def examples(present: dict[str, torch.Tensor], placeholder: int = 0) -> Examples:
    """Random examples of three modalities; missing ones have a random content, other for another `placeholder`."""
    whole = random_task("target", [IMAGE, TEXT, AUDIO], count=COUNT).train
    others = random_task("target", [IMAGE, TEXT, AUDIO], count=COUNT, seed=100 + placeholder).train
    inputs = {}
    for name, column in whole.inputs.items():
        there = present.get(name, torch.ones(COUNT, dtype=torch.bool))
        other = others.inputs[name]
        if isinstance(column, Ragged):
            rows = [column if here else other for here in there.tolist()]
            inputs[name] = Ragged.of([each.subset(torch.tensor([row])).values for row, each in enumerate(rows)])
        else:
            inputs[name] = torch.where(there.reshape(-1, *[1] * (column.ndim - 1)), column, other)
    return replace(whole, inputs=inputs, present=present, space=replace_key(whole.space))


def replace_key(space):
    return type(space)("toy", space.classes)


def some(*missing: int) -> torch.Tensor:
    there = torch.ones(COUNT, dtype=torch.bool)
    there[[*missing]] = False
    return there


FEW = {"image": some(*range(2, COUNT)), "text": some(0, 5), "audio": some(1, 2, 3)}


def learned(net: Network, batch: Batch) -> dict[str, torch.Tensor]:
    """Logits, gradients, and the buffers after a step in training mode."""
    net.train().zero_grad()
    logits = net.head["toy"](net.features(batch))
    torch.nn.functional.cross_entropy(logits, batch.labels).backward()
    grads = {name: each.grad for name, each in net.named_parameters() if each.grad is not None}
    return {"logits": logits.detach(), **grads, **{name: each.clone() for name, each in net.named_buffers()}}


def equal(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize("present", [FEW, {"image": some()}, {"text": some(*range(1, COUNT))}, {"audio": some(*range(COUNT))}])
def test_what_stands_in_the_place_of_a_missing_modality_has_no_influence(present):
    first, second = (learned(network(), examples(present, other).take(torch.arange(COUNT))) for other in (0, 1))
    assert not equal(first, second)
    net = network().eval()
    one, two = (net.features(examples(present, other).take(torch.arange(COUNT))) for other in (0, 1))
    assert torch.equal(one, two)
    with torch.no_grad():
        given = [tokens(net, examples(present, other).only("text"), "text", CPU) for other in (0, 1)]
    assert torch.equal(given[0].values, given[1].values) and torch.equal(given[0].offsets, given[1].offsets)


def test_the_order_of_batches_does_not_depend_on_the_place_of_a_missing_modality():
    lengths = [examples(FEW, other).lengths() for other in (0, 1)]
    assert not torch.equal(examples(FEW, 0).inputs["audio"].lengths, examples(FEW, 1).inputs["audio"].lengths)
    assert lengths[0] is not None and torch.equal(lengths[0].argsort(stable=True), lengths[1].argsort(stable=True))


@pytest.mark.parametrize("name", ["image", "text", "audio"])
def test_a_modality_is_encoded_as_if_only_the_examples_with_it_were_there(name):
    """Statistics, tokens and gradients are bit for bit those of a network that gets the present rows only."""
    rows = FEW[name].nonzero().flatten()
    found, expected = network().train(), network().train()
    values = found.tokens(examples(FEW).take(torch.arange(COUNT)))[name].values
    alone = expected.tokens(examples({}).only(name).take(rows))[name].values
    assert torch.equal(values[rows], alone) and not values[~FEW[name]].any()
    values.square().sum().backward()
    alone.square().sum().backward()
    pairs = zip(found.encoder[name].parameters(), expected.encoder[name].parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in pairs)
    buffers = zip(found.encoder[name].buffers(), expected.encoder[name].buffers(), strict=True)
    assert all(torch.equal(one, other) for one, other in buffers)


def test_all_present_is_the_same_as_no_mask_and_costs_no_copy():
    batch = examples({}).take(torch.arange(COUNT))
    marked = replace(batch, present={name: some() for name in batch.inputs})
    first, second = learned(network(), batch), learned(network(), marked)
    assert not equal(first, second)
    given = []
    net = network()
    net.encoder["image"].register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    net.features(marked)
    assert given[0] is marked.inputs["image"]


def test_a_batch_without_the_modality_calls_no_encoder_and_one_example_changes_no_statistics():
    net = network().train()
    calls = []
    net.encoder["image"].register_forward_hook(lambda *given: calls.append(1))
    nothing = net.tokens(examples({"image": some(*range(COUNT))}).take(torch.arange(COUNT)))["image"]
    assert not calls and nothing.values.shape == (COUNT, 1, net.encoder["image"].width) and not nothing.mask.any()
    before = {name: each.clone() for name, each in net.named_buffers()}
    single = examples({"image": some(*range(1, COUNT)), "text": some(*range(1, COUNT))}).take(torch.arange(COUNT))
    loss = sum(each.values.square().sum() for each in net.tokens(single).values())
    loss.backward()
    assert calls and all(torch.equal(each, before[name]) for name, each in net.named_buffers())
    assert all(module.training for module in net.modules()) and net.encoder["text"].embedding.weight.grad.any()


def test_half_precision_and_devices_follow_the_encoder():
    net, batch = pair_network(), pair_batch(tabular=torch.tensor([1, 0, 1, 1, 0, 1]).bool())
    with torch.autocast("cpu", torch.bfloat16):
        found = net.tokens(batch)["tabular"].values
        expected = net.encoder["tabular"](batch.inputs["tabular"]).values
    assert found.dtype == expected.dtype
    found.float().sum().backward()
    assert all(each.grad is not None for each in net.encoder["tabular"].parameters())


def test_inner_loops_encode_the_present_queries_only():
    """With examples missing, tasks run one after the other: `vmap` has no sizes that follow from values."""
    net = pair_network()
    here = torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    found = []
    for fill in (0.0, 50.0):
        support, query = pair_batch(tabular=here), pair_batch(tabular=here)
        for batch in (support, query):
            batch.inputs["tabular"] = batch.inputs["tabular"].masked_fill(~here[:, None], fill)
        learner = GradientDescent(rate=0.1, steps=2, vectorised="always")
        found.append(learner(net, support, query, 2))
        assert learner.log()["inner_loop"] == "sequential"
    assert torch.equal(found[0], found[1])


def test_noise_is_measured_on_what_is_there():
    there = torch.arange(40) % 4 > 0
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    found = []
    for fill in (0.0, 1000.0):
        given = random_task("target", [IMAGE], count=40).train
        column = values.masked_fill(~there[:, None], fill)
        given = replace(
            given, inputs={"tabular": column}, present={"tabular": there}, specs={"tabular": TabularSpec(("a", "b", "c"), "")}
        )
        found.append(noise(given, 0.5, torch.Generator().manual_seed(1), modality="tabular", levels=[0.5]).inputs["tabular"])
        assert torch.equal(found[-1][~there], column[~there])
    assert torch.equal(found[0][there], found[1][there]) and not torch.equal(found[0][there], values[there])
    deviation = (found[0][there] - values[there]).std() / values[there].std()
    assert 0.35 < float(deviation) < 0.65


def test_placeholders_do_not_spoil_batch_normalisation():
    """The fault: 80 % of the training pictures are missing; the running statistics were those of the placeholders."""
    torch.manual_seed(0)
    net = Network({"image": Conv4(IMAGE, widths=[4, 4])}, Concat({"image": 36}), {})
    present = {"image": torch.arange(COUNT) % 5 == 0}
    black = examples(present)
    black.inputs["image"] = black.inputs["image"].masked_fill(~present["image"][:, None, None, None], 0)
    reference = partial(Network, fusion=Concat({"image": 36}), heads={})
    torch.manual_seed(0)
    alone = reference({"image": Conv4(IMAGE, widths=[4, 4])})
    for _ in range(30):
        net.features(black.only("image").take(torch.arange(COUNT)))
        alone.features(examples({}).only("image").take(present["image"].nonzero().flatten()))
    assert all(torch.equal(one, other) for one, other in zip(net.buffers(), alone.buffers(), strict=True))


def test_mlp_reads_nothing_of_a_missing_picture():
    seen = []

    class Spy(Mlp):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    net = Network({"image": Spy(IMAGE, widths=[4])}, Concat({"image": 4}), {})
    net.features(examples(FEW).only("image").take(torch.arange(COUNT)))
    assert seen == [2]
