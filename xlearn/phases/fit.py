"""The training loop; every phase is trained by it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.balance import Backward
from xlearn.data.batches import source
from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.phases.update import Running, Update, begin, join, lay_out_like_parameters, starts, trained
from xlearn.runtime.machine import Machine, place
from xlearn.runtime.randomness import random_state, repeatable, set_random_state


@dataclass(frozen=True)
class Record:
    """The record of a step: its number (from 1), its losses (detached scalars on the device), the balance's weight of each
    task, its batches, and a function that returns the state to save."""

    step: int
    losses: dict[str, Tensor]
    weights: dict[str, Tensor]
    batches: Mapping[str, Batch]
    state: Callable[[], dict[str, Any]]


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
    `state`, it resumes training, and the remaining steps are bit-identical. `batches`: a source of batches, whose state is
    saved too, or a function without state.

    Raises: `ValueError` for two losses with the same name.
    """
    place(network, machine)
    torch.manual_seed(seed)
    scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
    autocast = _autocast(machine)
    running = [begin(update, network, steps, machine) for update in updates]
    given_by = source(batches)
    first = 0
    if state is not None:
        first = _restore(network, running, scaler, state, steps)
        given_by.restore(state["batches"])
    for each in running:
        _let_train(network, each, first)
    for step in range(first, steps):
        given = given_by(step, network)
        # The caller, or the source of batches, may have left the network in evaluation mode.
        if not network.training:
            _set_modes(network)
        losses: dict[str, Tensor] = {}
        weights: dict[str, Tensor] = {}
        for each in running:
            if len(running) > 1 or starts(each, step):
                _let_train(network, each, step)
            factor = each.update.schedule(step, steps)
            for group, rate in zip(each.optimizer.param_groups, each.rates, strict=True):
                group["lr"] = rate * factor
            combine = each.update.combine
            repeat = repeatable(network) if combine.repeats else nullcontext
            with autocast():
                found = _losses(each.update.losses, network, given, losses)
            combine(found, Backward(network, trained(each), scaler.scale))
            if each.update.clip < math.inf:
                scaler.unscale_(each.optimizer)
                nn.utils.clip_grad_norm_(each.parameters, each.update.clip)
            scaler.step(each.optimizer)
            scaler.update()
            each.optimizer.zero_grad()
            if combine.repeats:
                with repeat(), autocast():
                    combine.again(partial(_losses, each.update.losses, network, given, losses))
            for part in each.update.parts:
                part.follow(network)
            if any(loss.renews() for loss in each.update.losses):
                each.optimizer.state.clear()
            losses.update({name: loss.detach() for name, loss in found.items()})
            weights.update(combine.weights)

        def saved(done: int = step + 1) -> dict[str, Any]:
            return {**_state(network, running, scaler, done), "batches": given_by.state()}

        yield Record(step + 1, losses, weights, given, saved)


def _losses(
    objectives: Sequence[Any], network: Network, given: Mapping[str, Batch], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for batch in given.values():
        if batch.memo is not None:  # memoised before the last update, so outdated
            batch.memo.clear()
    labelled = {role: batch for role, batch in given.items() if role != UNLABELED}
    for each in objectives:
        # Only objectives that need unlabelled examples read them.
        read = given if each.needs.unlabeled else labelled
        for name, loss in each(network, read).items():
            if name in found or name in before:
                raise ValueError(f"two losses are called {name!r}; the names of losses must be unique")
            found[name] = loss
    return found


def _autocast(machine: Machine) -> Callable[[], Any]:
    if machine.precision == "fp32":
        return nullcontext
    kind = torch.bfloat16 if machine.precision == "bf16" else torch.float16
    return lambda: torch.autocast(machine.device.type, kind)


def _let_train(network: Network, running: Running, step: int) -> None:
    """Require gradients for the parameters of this update only."""
    join(running, step)
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


def _modules(running: Sequence[Running]) -> list[nn.Module]:
    return [each for update in running for each in update.update.parts if isinstance(each, nn.Module)]


def _state(network: Network, running: Sequence[Running], scaler: Any, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "network": network.state_dict(),
        "optimizers": [each.optimizer.state_dict() for each in running],
        "objectives": [module.state_dict() for module in _modules(running)],
        "scaler": scaler.state_dict(),
        **random_state(),
    }


def _restore(network: Network, running: Sequence[Running], scaler: Any, state: dict[str, Any], steps: int) -> int:
    step = state["step"]
    network.load_state_dict(state["network"])
    for each, saved in zip(running, state["optimizers"], strict=True):
        # A group that starts at step s is added before step s + 1 is counted.
        join(each, step - 1)
        each.optimizer.load_state_dict(saved)
        lay_out_like_parameters(each.optimizer)
    for module, saved in zip(_modules(running), state["objectives"], strict=True):
        module.load_state_dict(saved)
    scaler.load_state_dict(state["scaler"])
    set_random_state(state)
    return step
