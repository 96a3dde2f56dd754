"""Laws that hold of every objective which compares views, and of files that name one."""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
import torch
import yaml

from toys.contexts import batch_of, compared_context, noisy, squares_context
from toys.phases import trained
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.collapse import COLLAPSED
from xlearn.runtime.addresses import public
from xlearn.runtime.errors import Problem

CONF = Path(__file__).parents[2] / "conf"


def goes_on_bit_identically(made: type, labels: bool = False) -> None:
    """Stopped after three of eight steps and begun anew from what was saved, it ends as if it had never stopped."""
    context, net = compared_context(8, labels=labels)
    whole, losses, _ = trained(context, net, made(context), 8)
    context, net = compared_context(8, labels=labels)
    _, before, state = trained(context, net, made(context), 8, stop=3)
    context, net = compared_context(8, labels=labels)
    again, after, _ = trained(context, net, made(context), 8, state=state)
    assert before + after == losses
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)


def roles_do_not_mix(made: type, name: str) -> None:
    """Other examples of one role change its loss, and not that of another."""
    context, net = compared_context()
    objective = made(context)
    # Of MoCo, that there are negatives.
    trained(context, net, objective, 2)
    net.train()
    given = batch_of(context)
    other = {**given, "source": replace(context.tasks["source"].train.take(torch.arange(16, 32)), memo={})}
    found = []
    for each in (given, other):
        torch.manual_seed(0)
        found.append({role: loss.item() for role, loss in objective(net, each).items()})
    assert found[0].keys() == {f"{name}_source", f"{name}_{UNLABELED}"}
    assert found[0][f"{name}_{UNLABELED}"] == found[1][f"{name}_{UNLABELED}"]
    assert abs(found[0][f"{name}_source"] - found[1][f"{name}_source"]) > 1e-4


def stays_precise(made: type, labels: bool = False) -> None:
    """Under autocast its own modules and the losses are in single precision, and these near those without."""
    context, net = compared_context(labels=labels)
    net.eval()
    given = {role: each.train.take(torch.arange(16)) for role, each in context.tasks.items()}
    objective, kinds = made(context), []
    for module in objective.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _module, _given, made: kinds.append(made.dtype))
    found = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(objective(net, given))
    assert {*kinds} == {torch.float32}
    for role, loss in found[1].items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(found[0][role].item(), rel=0.05, abs=0.02)


def views_are_alike(made: type, labels: bool = False) -> None:
    """Which of two views comes first does not matter."""
    context, net = compared_context(labels=labels)
    net.eval()
    [*_, (role, given)] = context.tasks.items()
    batch = given.train.take(torch.arange(16))
    # Of very unlike spreads.
    drawn = [noisy(batch, torch.Generator().manual_seed(1)), replace(batch, inputs={"image": batch.inputs["image"] / 4 + 90})]
    found = []
    for each in (drawn, drawn[::-1]):
        order = iter(each)
        objective = made(replace(context, view=lambda _, order=order: replace(next(order), memo={})))
        [loss] = objective(net, {role: batch}).values()
        found.append(loss.item())
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def begins_by_the_network(made: type, labels: bool = False) -> None:
    """Its own modules begin alike on alike networks, whatever was drawn before, and otherwise on others; heads or none."""
    for heads in (True, False):
        drawn = []
        for seed in (0, 0, 1):
            context, net = compared_context(seed=seed, labels=labels)
            if not heads:
                net.head = torch.nn.ModuleDict()
            torch.manual_seed(len(drawn))
            drawn.append([each.detach().clone() for each in made(context).parameters()])
        assert all(torch.equal(*pair) for pair in zip(drawn[0], drawn[1], strict=True))
        assert any(not torch.equal(*pair) for pair in zip(drawn[0], drawn[2], strict=True))


def does_not_collapse(made: type, labels: bool = False, **options: int) -> tuple[list[float], list[float]]:
    """(its losses, before and after how much more its features differ between examples, of labels between classes, than between
    views of one). The embedding keeps its spread.
    """
    context, net = squares_context(labels=labels)
    [role] = context.tasks
    classes = context.tasks[role].train.labels
    groups = classes if labels else torch.arange(len(classes))
    objective = made(context, **options)
    found = [signal(net, context, role, groups)]
    _, losses, _ = trained(context, net, objective, context.steps)
    found.append(signal(net, context, role, groups))
    told = objective.log()["embedding"][role]
    assert told["spread"] > 2 * COLLAPSED and told["rank"] > 1.5 and told["width"] == net.width and not told["collapsed"]
    return [next(iter(each.values())) for each in losses], found


@torch.no_grad()
def signal(net: Network, context: PhaseContext, role: str, groups: torch.Tensor) -> float:
    """The variance of the groups' means, over the mean variance within a group, of eight views of every example."""
    net.eval()
    torch.manual_seed(9)
    train = context.tasks[role].train
    batch = train.take(torch.arange(len(train)))
    values = torch.cat([net.features(context.view(batch)) for _ in range(8)])
    of = groups.repeat(8)
    means = torch.stack([values[of == each].mean(0) for each in groups.unique()])
    within = (values - means[torch.searchsorted(groups.unique(), of)]).square().sum(1).mean()
    return float((means - means.mean(0)).square().sum(1).mean() / within)


def needs_two_and_trains_no_head(made: type, labels: bool = False) -> None:
    """Batches of two are enough, gradients reach all but the heads, and its parameters are its own."""
    context, net = compared_context(labels=labels)
    objective = made(context)
    needs = made.needed()
    assert needs.batch == 2 and needs.views and needs.raw_inputs and not needs.trains_head
    assert needs.labels is labels and needs.unlabeled is not labels
    given = batch_of(context, 2)
    losses = objective(net, given)
    assert len(losses) == len(given) and all(loss.isfinite() and loss.ndim == 0 for loss in losses.values())
    torch.stack([*losses.values()]).sum().backward()
    assert all(parameter.grad is None for parameter in net.head.parameters())
    below = [parameter for name, parameter in net.named_parameters() if not name.startswith("head.")]
    assert all(parameter.grad is not None for parameter in [*below, *objective.parameters()])
    own = {id(parameter) for parameter in objective.parameters()}
    assert own and not own & {id(parameter) for parameter in net.parameters()}


def file_says_the_defaults(name: str, made: type, phase: str = "pretrain") -> None:
    """conf/pretrain/<name>.yaml names the class, every option of it and no other, each with its default."""
    folder = CONF / "pretrain"
    given = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))["phases"][phase]["objective"]
    options = {key: each.default for key, each in signature(made).parameters.items() if key != "context"}
    assert given == {"_target_": public(f"{made.__module__}.{made.__qualname__}"), **options}


def refuses(made: type, option: str, value: float, labels: bool = False) -> None:
    """The problem names the thing, its value and what to give."""
    context, _ = compared_context(labels=labels)
    with pytest.raises(Problem, match=rf"{option}={value}: .*[Gg]ive"):
        made(context, **{option: value})
