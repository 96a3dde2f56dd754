"""What holds of every statistical alignment of domains."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from toys.contexts import adaptation_context, batch_of, loss_of

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.adaptation.afn import Afn
from xlearn.objectives.adaptation.coral import Coral
from xlearn.objectives.adaptation.deepjdot import DeepJdot
from xlearn.objectives.adaptation.jan import Jan
from xlearn.objectives.adaptation.mcc import Mcc
from xlearn.objectives.adaptation.mmd import Mmd
from xlearn.runtime.errors import Problem

EVERY: list[Any] = [Coral, Mmd, Jan, Afn, DeepJdot, Mcc]


@pytest.mark.parametrize("kind", EVERY)
def test_a_gradient_reaches_every_parameter_of_the_encoder(kind: Any) -> None:
    loss, _, network = loss_of(kind)
    loss.backward()
    assert loss.isfinite() and loss != 0
    for parameter in network.encoder.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    ("kind", "reached"), [(Coral, False), (Mmd, False), (Afn, False), (Jan, True), (DeepJdot, True), (Mcc, True)]
)
def test_the_head_moves_where_predictions_count(kind: Any, reached: bool) -> None:
    loss, _, network = loss_of(kind)
    loss.backward()
    assert all((each.grad is not None and bool(each.grad.abs().sum() > 0)) == reached for each in network.head.parameters())


@pytest.mark.parametrize("kind", EVERY)
def test_the_weight_is_a_factor(kind: Any) -> None:
    assert torch.allclose(loss_of(kind, weight=3.0)[0], 3 * loss_of(kind, weight=1.0)[0])
    assert loss_of(kind, weight=0.0)[0] == 0


@pytest.mark.parametrize("kind", EVERY)
def test_single_precision_also_under_autocast(kind: Any) -> None:
    """From the same features on, everything is as without."""
    context, network = adaptation_context()
    batches = {role: replace(each, features=network.features(each).detach()) for role, each in batch_of(context).items()}
    [plain] = kind(context)(network, batches).values()
    with torch.autocast("cpu", torch.bfloat16):
        [mixed] = kind(context)(network, batches).values()
    assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)


@pytest.mark.parametrize("kind", EVERY)
def test_no_target_label_enters(kind: Any) -> None:
    context, network = adaptation_context()
    batches = batch_of(context)
    [before] = kind(context)(network, batches).values()
    other = replace(batches[UNLABELED], labels=torch.zeros_like(batches[UNLABELED].labels))
    [after] = kind(context)(network, {**batches, UNLABELED: other}).values()
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        *((kind, {"weight": -1.0}, "weight=-1.0: give 0 or more") for kind in EVERY),
        (Jan, {"sigma": 0.0}, "jan: sigma=0.0: .* Give more than 0"),
        (Afn, {"delta": 0.0}, "afn: delta=0.0: .* Give more than 0"),
        (DeepJdot, {"alpha": -0.5}, "deepjdot: alpha=-0.5: give 0 or more"),
        (DeepJdot, {"regularisation": -0.5}, "deepjdot: regularisation=-0.5: give 0 or more"),
        (Mcc, {"temperature": 0.0}, "mcc: temperature=0.0: give more than 0"),
    ],
)
def test_wrong_values_are_refused(kind: Any, options: dict[str, float], words: str) -> None:
    with pytest.raises(Problem, match=words):
        kind(adaptation_context()[0], **options)


@pytest.mark.parametrize("kind", EVERY)
def test_only_mcc_does_without_a_source(kind: Any) -> None:
    context, _ = adaptation_context()
    alone = replace(context, tasks={UNLABELED: context.tasks[UNLABELED]})
    if kind is Mcc:
        kind(alone)
    else:
        with pytest.raises(Problem, match="compares the target with a source"):
            kind(alone)
    with pytest.raises(Problem, match="reads none"):
        kind(replace(context, tasks={"source": context.tasks["source"]}))


def test_smallest_batches() -> None:
    assert Coral.needed(weight=2.0).batch == 2
    for kind in (Mmd, Jan):
        assert kind.needed(weight=2.0).batch == 2 and kind.needed(estimator="biased").batch == 1
