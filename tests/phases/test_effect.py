"""An objective that no trained parameter can follow is refused, and declares so."""

from functools import partial

import pytest
import torch
from toys.contexts import adaptation_context, batch_of, compared_context
from toys.runs import Runs
from toys.teachers import inputs_of, student_and_teacher

from xlearn.objectives import (
    Afn,
    Attention,
    BarlowTwins,
    Bss,
    Byol,
    Cdan,
    Coral,
    Crd,
    Dann,
    DeepJdot,
    EntropyMin,
    FitNets,
    Jan,
    Mcc,
    Mcd,
    Mdd,
    MeanTeacher,
    Mmd,
    MoCo,
    PseudoLabel,
    Rkd,
    Rotation,
    Shot,
    SimClr,
    VicReg,
    objective,
)
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared
from xlearn.runtime.storage import read_tensors

ADAPTING = [Afn, Bss, Cdan, Coral, Dann, DeepJdot, EntropyMin, Jan, Mcc, Mcd, Mdd, MeanTeacher, Mmd, PseudoLabel, Shot]
COMPARING = [BarlowTwins, Byol, MoCo, Rotation, SimClr, VicReg]
TEACHING = [Attention, Crd, FitNets, Rkd]


def moved_parts(made, network, batches) -> set[str]:
    """`head` and `below`: where the losses of a step have a gradient that an update of the objective follows."""
    updates = [(made, lambda name: True), *((each, each.moves) for each in made.extra_updates())]
    found = set()
    for each, moves in updates:
        for loss in each(network, batches).values():
            names, parameters = zip(*network.named_parameters(), strict=True)
            grads = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True) if loss.requires_grad else ()
            found |= {
                "head" if name.startswith("head.") else "below"
                for name, grad in zip(names, grads, strict=False)
                if grad is not None and moves(name)
            }
    return found


@pytest.mark.parametrize("kind", [*ADAPTING, *COMPARING, *TEACHING], ids=lambda each: each.__name__)
def test_what_has_no_gradient_to_a_head_declares_it(kind):
    if kind in TEACHING:
        network, _, context, batches = student_and_teacher("cnn", "wide", inputs_of("image"))
    else:
        context, network = compared_context() if kind in COMPARING else adaptation_context()
        batches = batch_of(context)
    made = objective(kind(context))
    parts = moved_parts(made, network, batches)
    assert "below" in parts
    assert declared(partial(kind)).below_heads == ("head" not in parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), [])


HEAD = "trainable@transfer.phases.{}.trainable=head_only"


@pytest.mark.parametrize("transfer", ["dann", "coral", "mmd", "cdan", "afn", "mdd"])
def test_alignment_of_frozen_features_is_refused(run, transfer):
    told = "acts on layers below the heads, but the phase trains none there, so it would change nothing. Use a trunk"
    with pytest.raises(Problem, match=told):
        run(f"transfer={transfer}", HEAD.format("adapt"), shots=2)
    assert not list(run.folder.rglob("metrics.jsonl"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer=bss", HEAD.format("finetune")], "Bss acts on layers below the heads"),
        (["transfer=delta", HEAD.format("finetune")], "Delta acts on layers below the heads"),
        (["transfer=mcd", HEAD.format("adapt")], "an update of its step changes no parameter it trains"),
        (
            ["transfer=l2_sp", "sharing=encoder", f"+{HEAD.format('finetune')}"],
            "L2SP keeps weights near those copied from the source, but the phase trains none of these",
        ),
    ],
)
def test_penalties_on_nothing_are_refused(run, words, told):
    with pytest.raises(Problem, match=told):
        run(*words, shots=2)


@pytest.mark.parametrize("transfer", ["mcc", "entropy_min", "deepjdot", "jan"])
def test_what_is_not_refused_changes_the_head(run, transfer):
    """With the same frozen features: the weights are not those without the penalty."""
    words = [f"transfer={transfer}", HEAD.format("adapt")]
    with_it, _ = run(*words, shots=2)
    without, _ = run(*words, f"transfer.phases.adapt.penalties.{transfer}.weight=0", shots=2)
    one, other = (read_tensors(each / "weights.safetensors") for each in (with_it, without))
    assert any(not torch.equal(value, other[name]) for name, value in one.items() if name.startswith("head."))
    assert all(torch.equal(value, other[name]) for name, value in one.items() if not name.startswith("head."))


def test_a_trunk_above_frozen_encoders_is_enough(run):
    words = ["transfer=coral", "trunk=mlp", "trunk.widths=[4]"]
    preset = "trainable@transfer.phases.adapt.trainable=without_heads"
    _, result = run(*words, preset, "transfer.phases.adapt.trainable.patterns=[encoder.*]", shots=2)
    assert result["metrics"]["accuracy"] > 0
