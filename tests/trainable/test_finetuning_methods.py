"""Fine-tuning in part: which parameters train, what is left of them, and features that are shrunk."""

from functools import partial

import pytest
import torch
from torch import nn
from toys.modalities import ENCODERS, MODALITIES, network_for, random_task
from toys.networks import image_network
from toys.phases import phase, solve
from toys.runs import everything_words
from toys.tasks import blobs_task, random_images

from xlearn.averaging.interpolate import interpolate
from xlearn.commands.check import main as check
from xlearn.data.task import Batch
from xlearn.networks.network import Network, tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.regularization.bss import Bss, smallest
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases import feasible
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate
from xlearn.trainable.biases import biases
from xlearn.trainable.norms import norms
from xlearn.trainable.only import only
from xlearn.trainable.surgical import surgical


def made(encoder: str) -> Network:
    spec, build = ENCODERS[encoder]
    return network_for({"target": random_task("target", [spec])}, {MODALITIES[type(spec)]: (spec, build)})


class OwnNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8))


def normalised() -> Network:
    """The toy network with a normalisation over the batch."""
    network = image_network(blobs_task().train)
    network.encoder["image"].blocks[0].append(nn.BatchNorm1d(16))
    return network


def below(rates: dict[str, Rate]) -> set[str]:
    return {name for name in rates if not name.startswith("head.")}


def test_only_what_matches_trains():
    network = image_network(random_images())
    assert below(only(network, patterns=["head.*"])) == set()
    assert below(only(network, patterns=["head.*", "encoder.*.blocks.1.*"])) == {
        "encoder.image.blocks.1.0.weight", "encoder.image.blocks.1.0.bias",
    }  # fmt: skip
    with pytest.raises(Problem, match="'sharing.\\*' matches no parameter"):
        only(network, patterns=["head.*", "sharing.*"])


def test_biases():
    rates = biases(image_network(random_images()))
    assert below(rates) == {"encoder.image.blocks.0.0.bias", "encoder.image.blocks.1.0.bias"}
    assert len(rates) == 4 and set(rates.values()) == {Rate()}
    recurrent = {name.rpartition(".")[2] for name in below(biases(made("lstm")))}
    assert recurrent >= {"bias_ih_l0", "bias_hh_l0", "bias_ih_l0_reverse"}
    bare = Network({"image": nn.Identity()}, nn.Identity(), {"a": nn.Linear(2, 2)})
    with pytest.raises(Problem, match="no bias below the head"):
        biases(bare)


def test_norms():
    network = normalised()
    network.encoder["image"].blocks[1].extend([nn.GroupNorm(2, 8), nn.InstanceNorm1d(8), OwnNorm()])  # the middle one has none
    assert below(norms(network)) == {
        "encoder.image.blocks.0.3.weight", "encoder.image.blocks.0.3.bias", "encoder.image.blocks.1.3.weight",
        "encoder.image.blocks.1.3.bias", "encoder.image.blocks.1.5.gain",
    }  # fmt: skip
    network = made("transformer")
    layers = {name for name, each in network.named_modules() if isinstance(each, nn.LayerNorm)}
    assert layers and below(norms(network)) == {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    with pytest.raises(Problem, match="resnet18 or efficientnet_lite0, .*encoder/text=transformer or minilm"):
        norms(made("mlp"))


def test_one_block():
    network = image_network(random_images())
    first = {"encoder.image.blocks.0.0.weight", "encoder.image.blocks.0.0.bias"}
    last = {name.replace("blocks.0", "blocks.1") for name in first}
    assert below(surgical(network, block=1)) == below(surgical(network, block=-2)) == first
    assert below(surgical(network, block=2)) == below(surgical(network, block=-1)) == last
    rates = surgical(network, block=1, head=0.5)
    assert {rate.multiplier for name, rate in rates.items() if name.startswith("head.")} == {0.5}
    assert set(surgical(network, block=1, head=0.0)) == first
    for block in (0, 3, -3):
        with pytest.raises(Problem, match=f"block={block}: the encoder of image has 2 block\\(s\\). Give 1 to 2"):
            surgical(network, block=block)


@pytest.mark.parametrize(
    "rule", [biases, partial(surgical, block=-1), partial(only, patterns=["head.*.bias"])], ids=["biases", "surgical", "only"]
)
def test_what_is_not_named_gets_no_gradient_and_stays(rule, tmp_path):
    network = image_network(blobs_task().train)
    before, named = tensors(network), set(rule(network))
    network, _, _ = solve(tmp_path, phase(trainable=partial(rule), steps=5), network=network)
    moved = {name for name, value in tensors(network).items() if not torch.equal(value, before[name])}
    assert moved == named
    assert {name for name, each in network.named_parameters() if each.requires_grad} == named


def test_interpolation():
    before = {"w": torch.tensor([0.0, 1.0]), "count": torch.tensor(2)}
    kept = {"w": torch.tensor([4.0, -1.0]), "count": torch.tensor(7)}
    found = interpolate(before, kept, alpha=0.25)
    assert found["w"].tolist() == [1.0, 0.5] and found["count"] == 7
    odd = {name: {"w": torch.randn(1000, generator=torch.Generator().manual_seed(seed))} for seed, name in enumerate("ab")}
    assert torch.equal(interpolate(odd["a"], odd["b"], alpha=0.0)["w"], odd["a"]["w"])
    assert torch.equal(interpolate(odd["a"], odd["b"], alpha=1.0)["w"], odd["b"]["w"])
    assert interpolate({}, {}, alpha=0.5) == {}
    for alpha in (-0.1, 1.5):
        with pytest.raises(Problem, match=f"merge.alpha={alpha}: give a share in"):
            interpolate({}, {}, alpha=alpha)


def test_a_phase_leaves_what_is_between_its_ends(tmp_path):
    before = tensors(image_network(blobs_task().train))
    after = tensors(solve(tmp_path, phase())[0])
    for alpha in (0.0, 0.5, 1.0):
        left = tensors(solve(tmp_path, phase(merge=partial(interpolate, alpha=alpha)))[0])
        for name, value in left.items():
            torch.testing.assert_close(value, (1 - alpha) * before[name] + alpha * after[name])
        if alpha != 0.5:
            assert all(torch.equal(left[name], (before, after)[int(alpha)][name]) for name in left)


def test_a_wrong_share_is_refused_before_training():
    network, roles = image_network(blobs_task().train), {"source": {}, "target": {"target": blobs_task()}}
    with pytest.raises(Problem, match=r"merge.alpha=2: give a share in \[0, 1\]"):
        feasible.check(phase(merge=partial(interpolate, alpha=2)), network, roles)


def test_smallest_singular_values_by_hand():
    # Singular values 3, 2, 1.
    features = torch.tensor([[0.0, 3, 0], [2, 0, 0], [0, 0, 1], [0, 0, 0]])
    for k, expected in ((1, 1.0), (2, 5.0), (3, 14.0)):
        assert float(smallest(features, k)) == pytest.approx(expected)
        assert float(smallest(features.T, k)) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (7, 7)])
@pytest.mark.parametrize("k", [1, 3])
def test_smallest_singular_values_and_their_gradient_are_those_of_svdvals(shape, k):
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    ours, theirs = smallest(features, k), torch.linalg.svdvals(features)[-k:].square().sum()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(each, features)[0] for each in (ours, theirs)))


def test_shrinking_is_finite_where_features_are_equal():
    features = torch.zeros(5, 4, requires_grad=True)
    smallest(features, 2).backward()
    assert torch.equal(features.grad, torch.zeros(5, 4))
    features = torch.ones(5, 4, requires_grad=True)
    smallest(features, 2).backward()
    assert bool(features.grad.isfinite().all())


def test_bss_reads_the_features_of_the_heads():
    given = random_images()
    network = image_network(given)
    context = PhaseContext(network, frozenset(), {})
    [(name, loss)] = Bss(context, eta=0.5, k=2)(network, {"target": given.take(torch.arange(6))}).items()
    features = network.features(given.take(torch.arange(6)))
    assert name == "target_bss"
    torch.testing.assert_close(loss, 0.5 * torch.linalg.svdvals(features)[-2:].square().sum())
    loss.backward()
    assert all(each.grad is not None for each in network.encoder.parameters())
    ready = Batch({}, given.labels[:3], given.space, torch.eye(3, 8))
    assert float(Bss(context)(network, {"target": ready})["target_bss"]) == pytest.approx(0.001)
    for options, told in (({"eta": -1.0}, "eta=-1.0"), ({"k": 0}, "k=0"), ({"k": 8}, "k=8: the features have 8 singular")):
        with pytest.raises(Problem, match=told):
            Bss(context, **options)


def test_batches_must_have_more_examples_than_are_shrunk():
    network, roles = image_network(blobs_task().train), {"source": {}, "target": {"target": blobs_task(shots=1)}}
    shrinking = phase(objectives=(partial(CrossEntropy), partial(Bss, k=3)))
    with pytest.raises(Problem, match=r"Bss needs batches of 4 examples.*have 3 \(batch_size=16, 3 labelled"):
        feasible.check(shrinking, network, roles)
    feasible.check(phase(objectives=(partial(CrossEntropy), partial(Bss, k=2))), network, roles)


def test_batch_normalisation_whose_shift_trains_needs_two_examples():
    one, roles = phase(trainable=partial(biases), batch_size=1), {"source": {}, "target": {"target": blobs_task()}}
    with pytest.raises(Problem, match="batch normalisation needs two"):
        feasible.check(one, normalised(), roles)


FAST = ["delta"]
SLOW = ["co_tuning", "lora", "bss", "adapter", "bitfit", "norm_only", "surgical", "wise_ft"]


@pytest.mark.parametrize("method", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_text_and_sound_with_one_label_per_class(method, tmp_path, capsys):
    words = everything_words(tmp_path, ["text", "audio"], ["text", "audio"])
    small = ["encoder/text=transformer", "encoder.audio.channels=[4,6]", "encoder.audio.dense=8", "target.shots=1"]
    assert check([*words, *small, f"transfer={method}"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer=surgical", "transfer.phases.finetune.trainable.block=7"], "block=7: the encoder of image has 2 block"),
        (["transfer=norm_only"], "no normalisation with parameters"),
        (["transfer=wise_ft", "transfer.phases.finetune.merge.alpha=1.5"], "merge.alpha=1.5"),
        (["transfer=bss", "batch_size=1"], "Bss needs batches of 2 examples"),
        (["transfer=lora", "transfer.adds.rank=100"], "rank=100: encoder.image.blocks.0.0 has rank 16 at most"),
        (["transfer=co_tuning", "source=none", "pretrain=none"], "nothing teaches it before"),
    ],
)
def test_wrong_words_are_refused(words, told, toy, capsys):
    assert check([*toy, *words]) == 1
    assert told in capsys.readouterr().err


def test_biases_inside_of_attention_are_biases():
    network = image_network(random_images())
    network.trunk = nn.MultiheadAttention(8, 2)
    assert {"trunk.in_proj_bias", "trunk.out_proj.bias"} <= biases(network).keys()


def test_features_that_are_no_numbers_are_for_the_loss_to_tell():
    assert not smallest(torch.full((4, 3), torch.nan), 1).isfinite()
