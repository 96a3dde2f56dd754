"""One parameter update of a training step: losses, balance, trained parameters, optimizer and schedule."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.balance import Balance, Combine, balance
from xlearn.networks.network import Network
from xlearn.objectives import Loss, Objective, objective
from xlearn.runtime.machine import Machine
from xlearn.trainable import Rate


@dataclass(frozen=True)
class Update:
    """One parameter update of a training step: objectives, trained parameters, optimizer, schedule and balance.

    `rates`: the trained parameters of the network, by name. The parameters of an objective or a balance that is a module are
    trained too, at its attribute `rate` times the learning rate. A step may consist of several updates in turn. `clip`: the
    largest norm of the gradient of all parameters together; longer gradients are scaled down to it (Pascanu et al., ICML 2013).
    """

    objectives: Sequence[Loss]
    rates: Mapping[str, Rate]
    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    schedule: Callable[[int, int], float]
    balance: Combine
    clip: float = math.inf
    losses: list[Any] = field(init=False)  # the objectives, each an `Objective`
    combine: Any = field(init=False)  # the balance, a `Balance`

    def __post_init__(self) -> None:
        # Functions get the hooks of objectives and balances.
        vars(self)["losses"] = [objective(each) for each in self.objectives]
        vars(self)["combine"] = balance(self.balance)

    @property
    def parts(self) -> list[Objective | Balance]:
        """The objectives and the balance, which may have parameters and state."""
        return [*self.losses, self.combine]


@dataclass
class Running:
    """An update during training: its optimizer, and the parameter groups that start later."""

    update: Update
    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter]
    waiting: list[tuple[int, dict[str, Any]]]
    rates: list[float] = field(default_factory=list)


def begin(update: Update, network: Network, steps: int, machine: Machine) -> Running:
    """Build the optimizer over the groups that train from the start; later groups wait for their step."""
    grouped: dict[Rate, list[nn.Parameter]] = {}
    # Parameters of objectives and balances (temperatures, loss weights) have no weight decay.
    own: list[dict[str, Any]] = [
        {"params": parameters, "multiplier": part.rate, "weight_decay": 0.0}
        for part in update.parts
        if isinstance(part, nn.Module) and (parameters := list(part.to(machine.device).parameters()))
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
    return Running(update, optimizer, [each for group in now for each in group["params"]], waiting, rates)


def starts(running: Running, step: int) -> bool:
    return bool(running.waiting) and running.waiting[0][0] <= step


def join(running: Running, step: int) -> None:
    """Add the groups that start at this step to the optimizer."""
    while starts(running, step):
        _, group = running.waiting.pop(0)
        running.optimizer.add_param_group(dict(group))
        running.parameters += group["params"]
        running.rates.append(running.optimizer.defaults["lr"] * group["multiplier"])


def trained(running: Running) -> list[nn.Parameter]:
    """The parameters that the losses differentiate: those of the network and the objectives, without those of the balance."""
    combine = running.update.combine
    own = {id(each) for each in combine.parameters()} if isinstance(combine, nn.Module) else set()
    return [each for each in running.parameters if id(each) not in own]


def lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer's state the memory layout of its parameters, as fused optimizers require."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 0:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
