"""What travels from network to network: strict and reported."""

import json
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.learners.carry import carry, choose
from xlearn.networks.network import encoder_blocks, tensors
from xlearn.pretrain._checkpoint import checkpoint
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import write_tensors
from xlearn.sharing._encoder import encoder
from xlearn.sharing._layers import layers
from xlearn.sharing._none import none
from xlearn.sharing.all import share_all
from xlearn.sharing.names import by_name
from xlearn.trainable._gradual import gradual
from xlearn.trainable._head_and_backbone import head_and_backbone
from xlearn.trainable._layer_decay import layer_decay


def pair(classes=3):
    return image_network(random_images(), seed=1), image_network(random_images(classes=classes), seed=2)


STRATEGIES = {
    "none": partial(none),
    "all": partial(share_all),
    "encoder": partial(encoder),
    "layers": partial(layers, first=1),
    "names": partial(by_name, patterns=["*.bias"]),
}


@settings(max_examples=25, deadline=None)
@given(strategy=some.sampled_from(sorted(STRATEGIES)), classes=some.integers(2, 4))
def test_copied_and_fresh_make_up_the_target_and_copied_and_unused_the_source(strategy, classes):
    source, target = pair(classes)
    before = tensors(target)
    chosen = choose(tensors(source), target, STRATEGIES[strategy], "a -> b")
    carry(tensors(source), target, chosen)
    after = tensors(target)
    assert chosen.copied.keys() | chosen.fresh.keys() == after.keys()
    assert chosen.copied.keys() | chosen.unused.keys() == tensors(source).keys()
    assert not chosen.copied.keys() & (chosen.fresh.keys() | chosen.unused.keys())
    for name in chosen.copied:
        assert torch.equal(after[name], tensors(source)[name])
    for name in chosen.fresh:
        assert torch.equal(after[name], before[name])
    json.dumps(chosen.report())


def test_what_each_strategy_copies():
    source, target = pair()
    copied = {key: set(choose(tensors(source), target, each, "a -> b").copied) for key, each in STRATEGIES.items()}
    body = {f"encoder.image.blocks.{n}.0.{kind}" for n in (0, 1) for kind in ("weight", "bias")}
    head = {f"head.{random_images().space.key}.{kind}" for kind in ("weight", "bias")}
    assert copied["none"] == set()
    assert copied["all"] == body | head
    assert copied["encoder"] == body
    assert copied["layers"] == {name for name in body if "blocks.0" in name}
    assert copied["names"] == {name for name in body | head if name.endswith("bias")}


def test_heads_of_other_label_spaces_stay_behind():
    source, target = pair(classes=4)
    chosen = choose(tensors(source), target, STRATEGIES["all"], "a -> b")
    assert all(name.startswith("encoder.") for name in chosen.copied)
    assert all(name.startswith("head.") for name in chosen.fresh)


def test_nothing_in_common_is_an_error_unless_nothing_was_wanted():
    _, target = pair()
    other = {"encoder.audio.weight": torch.zeros(2)}
    with pytest.raises(Problem, match=r"a -> b: this sharing copies nothing\. The source has encoder\.audio"):
        choose(other, target, STRATEGIES["all"], "a -> b")
    assert choose(other, target, STRATEGIES["none"], "a -> b").copied == {}


def test_one_name_with_two_shapes_is_an_error():
    source, target = pair()
    weights = tensors(source)
    weights["encoder.image.blocks.0.0.weight"] = torch.zeros(16, 7)
    with pytest.raises(Problem, match=r"blocks\.0\.0\.weight \(16, 7\) and \(16, 36\)"):
        choose(weights, target, STRATEGIES["encoder"], "a -> b")


def test_layers_and_names_say_what_there_is():
    _, target = pair()
    names = list(tensors(target))
    with pytest.raises(Problem, match=r"encoder\.image has 2 blocks\. Give 1 to 2"):
        layers(names, target, first=3)
    with pytest.raises(Problem, match=r"'encoder\.imag\.\*' matches no parameter\. Did you mean"):
        by_name(names, target, patterns=["encoder.imag.*"])


def test_trainable_rules():
    _, network = pair()
    assert len(encoder_blocks(network)["image"]) == 2
    probe = head_and_backbone(network, head=1.0, backbone=0.0)
    assert {name.split(".")[0] for name in probe} == {"head"}
    decayed = {name: rate.multiplier for name, rate in layer_decay(network, decay=0.5).items() if name.endswith("weight")}
    assert sorted(decayed.values()) == [0.25, 0.5, 1.0]  # block 1, block 2, head
    assert decayed["encoder.image.blocks.0.0.weight"] == 0.25
    starts = {name: rate.start for name, rate in gradual(network, backbone=0.1, until=0.5).items() if name.endswith("weight")}
    assert starts["encoder.image.blocks.1.0.weight"] == 0.25
    assert starts["encoder.image.blocks.0.0.weight"] == 0.5
    assert {rate for name, rate in starts.items() if name.startswith("head.")} == {0.0}


def test_a_checkpoint_has_to_fit(tmp_path):
    source, target = pair()
    own = tensors(source)
    good = {name.replace("encoder.image.", "net."): value for name, value in own.items() if name.startswith("encoder.")}
    write_tensors(tmp_path / "good.safetensors", {**good, "fc.weight": torch.zeros(2, 2)})
    landed = checkpoint(target, path=str(tmp_path / "good.safetensors"), names={"net.": "encoder.image.", "fc.": None})
    assert all(torch.equal(landed[name], own[name]) for name in landed)
    assert len(landed) == 4
    with pytest.raises(Problem) as caught:
        checkpoint(target, path=str(tmp_path / "good.safetensors"))
    told = str(caught.value)
    assert "missing (4): encoder.image.blocks.0.0.weight" in told
    assert "too much (5): fc.weight" in told or "too much (5)" in told
    good["net.blocks.0.0.weight"] = torch.zeros(3, 3)
    torch.save(good, tmp_path / "bad.pth")
    with pytest.raises(
        Problem, match=r"other shape \(1\): encoder\.image\.blocks\.0\.0\.weight \(3, 3\) in the file, \(16, 36\) here"
    ):
        checkpoint(target, path=str(tmp_path / "bad.pth"), names={"net.": "encoder.image."})
    del good["net.blocks.0.0.weight"]
    write_tensors(tmp_path / "part.safetensors", good)
    part = checkpoint(
        target, path=str(tmp_path / "part.safetensors"), names={"net.": "encoder.image."}, fresh=["*.blocks.0.0.weight"]
    )
    assert len(part) == 3
