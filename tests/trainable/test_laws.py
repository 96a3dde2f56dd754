"""What holds of several ways of fine-tuning in part."""

from functools import partial

import pytest
import torch
from toys.networks import image_network
from toys.phases import phase, solve
from toys.runs import everything_words
from toys.tasks import blobs_task

from xlearn.commands.check import main as check
from xlearn.networks.network import tensors
from xlearn.trainable._biases import biases
from xlearn.trainable._only import only
from xlearn.trainable._surgical import surgical


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
        (["transfer=co_tuning", "source=none", "pretrain=none"], "no phase trains the teacher"),
    ],
)
def test_wrong_words_are_refused(words, told, toy, capsys):
    assert check([*toy, *words]) == 1
    assert told in capsys.readouterr().err
