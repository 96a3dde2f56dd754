"""What frozen encoders make of a data set: the same bits as direct encoding, computed once."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.phases import CPU, phase, solve
from toys.tasks import SPEC, random_images

from xlearn.data.augment._modality_dropout import modality_dropout
from xlearn.data.columns import Ragged, subset
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.networks.evaluate import logits, tokens
from xlearn.networks.network import Network, Tokens
from xlearn.phases import encoder_cache, training
from xlearn.phases.encoder_cache import encode
from xlearn.robustness._noise import noise
from xlearn.trainable._head_and_backbone import head_and_backbone

SPACE = Classes("toy", ("a", "b"))


class Several(torch.nn.Module):
    """Two tokens for bright images, one for others."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(36, 4)
        self.width = 4

    def forward(self, images):
        flat = images.flatten(1).float() / 255
        mask = torch.stack([torch.ones(len(flat), dtype=torch.bool), flat.mean(1) > 0.5], 1)
        return Tokens(torch.stack([self.linear(flat), self.linear(1 - flat)], 1), mask)


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoder_cache, "_held", type(encoder_cache._held)())


@pytest.fixture
def calls(monkeypatch):
    found = []
    real = encoder_cache.tokens
    monkeypatch.setattr(encoder_cache, "tokens", lambda *given: found.append(len(given[1])) or real(*given))
    return found


def network(several=False, seed=0):
    torch.manual_seed(seed)
    encoder = Several() if several else Mlp(SPEC, widths=[5])
    return Network({"image": encoder}, Concat({"image": encoder.width}), {SPACE.key: torch.nn.Linear(encoder.width, 2)})


def parts(column):
    return [column.values, column.offsets] if isinstance(column, Ragged) else [column]


def whole(count=600):
    return replace(random_images(count, classes=2), space=SPACE, data="toy")


@pytest.mark.parametrize("several", [False, True])
def test_splits_share_what_was_computed_once(calls, several):
    net, every = network(several), whole()
    direct = tokens(net, every, "image", CPU)
    for start in range(3):
        index = torch.arange(start, 600, 3)
        found = encode(net, every.subset(index), ["image"], CPU)
        expected = subset(direct, index)
        for one, other in zip(parts(found.inputs["image"]), parts(expected), strict=True):
            assert torch.equal(one, other)
        assert found.encoded == {"image"}
        torch.testing.assert_close(logits(net, found, CPU), logits(net, every.subset(index), CPU))
    assert calls == [600]
    assert isinstance(direct, Ragged) == several


def test_a_tenth_and_less_is_encoded_by_itself(calls):
    net, every = network(), whole()
    encode(net, every.subset(torch.arange(59)), ["image"], CPU)
    encode(net, every.subset(torch.arange(60)), ["image"], CPU)
    assert calls == [59, 600]


def test_other_weights_data_and_machines_are_other_entries(calls):
    every = whole()
    some = every.subset(torch.arange(300))
    first = encode(network(), some, ["image"], CPU)
    again = encode(network(), some, ["image"], CPU)
    other = encode(network(seed=1), some, ["image"], CPU)
    assert torch.equal(first.inputs["image"], again.inputs["image"])
    assert not torch.equal(first.inputs["image"], other.inputs["image"])
    encode(network(), replace(some, whole=replace(every, data="another")), ["image"], CPU)
    assert calls == [600, 600, 600]
    mine, theirs = network(), network()
    mine.document, theirs.document = ({"encoder": {"image": 1, "text": text}} for text in (1, 2))
    encode(mine, some, ["image"], CPU)
    encode(theirs, some, ["image"], CPU)  # what other encoders there are is no matter
    theirs.document = {"encoder": {"image": 2}}
    encode(theirs, some, ["image"], CPU)
    assert calls == [600] * 5


@pytest.mark.parametrize("several", [False, True])
def test_outputs_come_back_from_the_disk(calls, several):
    some = whole().subset(torch.arange(0, 600, 2))
    first = encode(network(several), some, ["image"], CPU).inputs["image"]
    encoder_cache._held.clear()
    again = encode(network(several), some, ["image"], CPU).inputs["image"]
    assert calls == [600]
    assert (
        torch.equal(first.values, again.values) and torch.equal(first.offsets, again.offsets)
        if several
        else torch.equal(first, again)
    )


def test_spoiled_inputs_are_not_served_from_the_store(calls):
    net, some = network(), whole().subset(torch.arange(300))
    clean = encode(net, some, ["image"], CPU)
    noisy = noise(some, 0.5, torch.Generator().manual_seed(0), modality="image", levels=[0.5])
    found = encode(net, noisy, ["image"], CPU)
    assert calls == [600, 300]
    assert not torch.equal(found.inputs["image"], clean.inputs["image"])
    torch.testing.assert_close(logits(net, found, CPU), logits(net, noisy, CPU))


def test_only_encoders_that_a_phase_does_not_train(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "encode", lambda network, each, names, machine: asked.append(names) or each)
    solve(tmp_path, phase(), pretrained=frozenset({"image"}))
    assert asked and not any(asked)
    asked.clear()
    probe = {"trainable": lambda network: head_and_backbone(network, head=1.0, backbone=0.0)}
    solve(tmp_path, phase(**probe), pretrained=frozenset({"image"}))
    assert asked and all(names == ["image"] for names in asked)
    asked.clear()
    # Augmented inputs are new ones at every step; those of the validation split never are.
    solve(tmp_path, phase(**probe, augment=(partial(lambda batch, generator: batch),)), pretrained=frozenset({"image"}))
    assert asked == [["image"]]
    asked.clear()
    solve(tmp_path, phase(**probe, augment=(partial(modality_dropout, probability=0.5),)), pretrained=frozenset({"image"}))
    assert asked == [["image"]] * 2  # which modality is hidden leaves what they are
