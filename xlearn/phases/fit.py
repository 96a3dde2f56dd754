"""The training loop; every phase is trained by it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.balance import Backward
from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine, place
from xlearn.runtime.randomness import random_state, repeatable, set_random_state
from xlearn.trainable import Rate

Objective = Callable[[Network, Mapping[str, Batch]], dict[str, Tensor]]


@dataclass(frozen=True)
class Update:
    """One parameter update of a training step: objectives, trained parameters, optimizer, schedule and balance.

    `rates`: the trained parameters of the network, by name. The parameters of an objective or a balance that is a module are
    trained too, at its attribute `rate` times the learning rate (default 1). A step may consist of several updates in turn.
    """

    objectives: Sequence[Objective]
    rates: Mapping[str, Rate]
    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    schedule: Callable[[int, int], float]
    balance: Callable[[Mapping[str, Tensor], Backward], None]

    @property
    def parts(self) -> list[Any]:
        """The objectives and the balance, which may have parameters and state."""
        return [*self.objectives, self.balance]


@dataclass(frozen=True)
class Record:
    """The record of a step: its number (from 1), its losses (detached scalars on the device), the balance's weight of each
    task, and a function that returns the state to save."""

    step: int
    losses: dict[str, Tensor]
    weights: dict[str, Tensor]
    state: Callable[[], dict[str, Any]]


@dataclass
class _Running:
    """An update during training: its optimizer, and the parameter groups that start later."""

    update: Update
    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    waiting: list[tuple[int, dict[str, Any]]]
    rates: list[float] = field(default_factory=list)


def fit(
    network: Network,
    updates: Sequence[Update],
    batches: Callable[[int, Network], dict[str, Batch]],
    *,
    steps: int,
    seed: int,
    machine: Machine,
    state: dict[str, Any] | None = None,
) -> Iterator[Record]:
    """Train `network` in place for `steps` steps, and yield a `Record` after each. It does not log, evaluate or save.

    Between steps the caller may evaluate, stop iterating, or save `record.state()` (plain containers and tensors). Passed as
    `state`, it resumes training, and the remaining steps are bit-identical.

    Raises: `ValueError` for two losses with the same name.
    """
    place(network, machine)
    torch.manual_seed(seed)
    scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
    autocast = _autocast(machine)
    running = [_begin(update, network, steps, machine) for update in updates]
    first = 0
    if state is not None:
        first = _restore(network, running, scaler, state, steps)
    for each in running:
        _let_train(network, each, first)
    for step in range(first, steps):
        if not network.training:
            _set_modes(network)
        given = batches(step, network)
        losses: dict[str, Tensor] = {}
        weights: dict[str, Tensor] = {}
        for each in running:
            if len(running) > 1 or _starts(each, step):
                _let_train(network, each, step)
            factor = each.update.schedule(step, steps)
            for group, rate in zip(each.optimizer.param_groups, each.rates, strict=True):
                group["lr"] = rate * factor
            again = getattr(each.update.balance, "again", None)
            repeat = repeatable(network) if again else nullcontext
            with autocast():
                found = _losses(each.update.objectives, network, given, losses)
            each.update.balance(found, Backward(network, _trained(each), scaler.scale))
            scaler.step(each.optimizer)
            scaler.update()
            each.optimizer.zero_grad()
            if again:
                with repeat(), autocast():
                    again(partial(_losses, each.update.objectives, network, given, losses))
            for part in each.update.parts:
                if (follow := getattr(part, "follow", None)) is not None:
                    follow(network)
            losses.update({name: loss.detach() for name, loss in found.items()})
            weights.update(getattr(each.update.balance, "weights", {}))
        yield Record(step + 1, losses, weights, lambda done=step + 1: _state(network, running, scaler, done))


def _losses(
    objectives: Sequence[Objective], network: Network, given: Mapping[str, Batch], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for batch in given.values():
        if batch.memo is not None:  # memoised before the last update, so outdated
            batch.memo.clear()
    labelled = {role: batch for role, batch in given.items() if role != UNLABELED}
    for objective in objectives:
        # Only objectives with the attribute `unlabeled` read unlabelled examples.
        seen = given if getattr(getattr(objective, "func", objective), "unlabeled", False) else labelled
        for name, loss in objective(network, seen).items():
            if name in found or name in before:
                raise ValueError(f"two losses are called {name!r}; the names of losses must be unique")
            found[name] = loss
    return found


def _autocast(machine: Machine) -> Callable[[], Any]:
    if machine.precision == "fp32":
        return nullcontext
    kind = torch.bfloat16 if machine.precision == "bf16" else torch.float16
    return lambda: torch.autocast(machine.device.type, kind)


def _begin(update: Update, network: Network, steps: int, machine: Machine) -> _Running:
    """Build the optimizer over the groups that train from the start; later groups wait for their step."""
    grouped: dict[Rate, list[nn.Parameter]] = {}
    # Parameters of objectives and balances (temperatures, loss weights) have no weight decay.
    own: list[dict[str, Any]] = [
        {"params": parameters, "multiplier": getattr(objective, "rate", 1.0), "weight_decay": 0.0}
        for objective in update.parts
        if isinstance(objective, nn.Module) and (parameters := list(objective.to(machine.device).parameters()))
    ]
    named = dict(network.named_parameters())
    for name, rate in update.rates.items():
        grouped.setdefault(rate, []).append(named[name])
    ordered = sorted(grouped.items(), key=lambda item: (item[0].start, -item[0].multiplier))
    now: list[dict[str, Any]] = [
        *own,
        *({"params": each, "multiplier": rate.multiplier} for rate, each in ordered if rate.start == 0),
    ]
    optimizer = update.optimizer([dict(group) for group in now])
    waiting = [
        (round(rate.start * steps), {"params": each, "multiplier": rate.multiplier}) for rate, each in ordered if rate.start > 0
    ]
    base = optimizer.defaults["lr"]
    rates = [base * group["multiplier"] for group in optimizer.param_groups]
    return _Running(update, optimizer, [each for group in now for each in group["params"]], waiting, rates)


def _starts(running: _Running, step: int) -> bool:
    return bool(running.waiting) and running.waiting[0][0] <= step


def _join(running: _Running, step: int) -> None:
    """Add the groups that start at this step to the optimizer."""
    while _starts(running, step):
        _, group = running.waiting.pop(0)
        running.optimizer.add_param_group(dict(group))
        running.parameters += group["params"]
        running.rates.append(running.optimizer.defaults["lr"] * group["multiplier"])


def _let_train(network: Network, running: _Running, step: int) -> None:
    """Require gradients for the parameters of this update only."""
    _join(running, step)
    network.requires_grad_(False)
    for parameter in running.parameters:
        parameter.requires_grad_(True)
    _set_modes(network)


def _set_modes(network: Network) -> None:
    """Set training mode, and evaluation mode for modules with only frozen parameters, so that their running statistics do not
    change.
    """
    network.train()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def _modules(running: Sequence[_Running]) -> list[nn.Module]:
    return [each for update in running for each in update.update.parts if isinstance(each, nn.Module)]


def _trained(running: _Running) -> list[nn.Parameter]:
    """The parameters that the losses differentiate: those of the network and the objectives, without those of the balance."""
    balance = running.update.balance
    own = {id(each) for each in balance.parameters()} if isinstance(balance, nn.Module) else set()
    return [each for each in running.parameters if id(each) not in own]


def _state(network: Network, running: Sequence[_Running], scaler: Any, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "network": network.state_dict(),
        "optimizers": [each.optimizer.state_dict() for each in running],
        "objectives": [module.state_dict() for module in _modules(running)],
        "scaler": scaler.state_dict(),
        **random_state(),
    }


def _restore(network: Network, running: Sequence[_Running], scaler: Any, state: dict[str, Any], steps: int) -> int:
    step = state["step"]
    network.load_state_dict(state["network"])
    for each, saved in zip(running, state["optimizers"], strict=True):
        # A group that starts at step s is added before step s + 1 is counted.
        _join(each, step - 1)
        each.optimizer.load_state_dict(saved)
        _lay_out_like_parameters(each.optimizer)
    for module, saved in zip(_modules(running), state["objectives"], strict=True):
        module.load_state_dict(saved)
    scaler.load_state_dict(state["scaler"])
    set_random_state(state)
    return step


def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer's state the memory layout of its parameters, as fused optimizers require."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 0:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
