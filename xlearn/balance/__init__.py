"""Balances: combine the losses of several tasks into one gradient. `balance(losses, backward)` runs the backward pass.

A balance is a function, or a class that inherits from `Balance` and is built with a `PhaseContext` when its phase begins. Its
parameters are trained with the phase, at `rate` times the learning rate; its state is saved and resumed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

import lazy_loader as lazy
import torch
from torch import Tensor, nn

from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Declares, Needs


@dataclass(frozen=True)
class Backward:
    """The backward pass of one update: the network, its trained parameters, and the scaling of the losses.

    `scale` is the identity except in fp16, where small gradients would underflow; the optimizer step undoes it.
    """

    network: Network
    parameters: Sequence[nn.Parameter]
    scale: Callable[[Tensor], Tensor] = lambda loss: loss

    def __call__(self, total: Tensor) -> None:
        """Add the gradient of a scalar to all parameters' `grad`."""
        self.scale(total).backward()


# Called with (losses by name, backward); an instance of `Balance`, or a function.
Combine: TypeAlias = Callable[[Mapping[str, Tensor], Backward], None]
# Where the gradients of the tasks are compared: on the shared parameters, or on the features that all heads read.
At: TypeAlias = Literal["parameters", "features"]


class Balance(Declares):
    """A balance with hooks that do nothing here. `weights`: the weight of each task in the last step, for the log."""

    needs = replace(NO_LABELS, several_tasks=True)
    rate: float = 1.0
    weights: Mapping[str, Tensor] = {}
    # Whether `again` must be called: it costs a forward pass.
    repeats: ClassVar[bool] = False

    @classmethod
    def needed(cls, *, at: At = "parameters", **others: Any) -> Needs:
        return replace(cls.needs, common_features=at == "features")

    def follow(self, network: Network) -> None:
        """Called after each step."""

    def again(self, losses: Callable[[], Mapping[str, Tensor]]) -> None:
        """Called after each step, with a function that computes the losses of the same batches once more."""


class Plain(Balance):
    """A function as a balance."""

    def __init__(self, function: Combine) -> None:
        self.function = function

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.function(losses, backward)


def balance(combine: Combine) -> Any:
    """A balance with its hooks: the given one, or a function with hooks that do nothing."""
    return combine if isinstance(combine, Balance) else Plain(combine)


def tasks(context: PhaseContext, name: str) -> tuple[str, ...]:
    """The roles of the tasks that the phase reads, in their order. Raises `Problem` for fewer than two tasks."""
    roles = tuple(context.class_counts)
    if len(roles) < 2:
        raise Problem(
            f"balance={name} weighs the losses of several tasks against each other, and the phase reads {len(roles)}. Choose "
            "several sources, transfer=joint, or balance=equal."
        )
    return roles


def by_task(losses: Mapping[str, Tensor], roles: Sequence[str]) -> tuple[dict[str, Tensor], Tensor | None]:
    """(the loss of each task that has one, in the order of `roles`; the sum of all other losses, None without any).

    A loss belongs to the task `role` if its name is `role` or begins with `role_`; the longest such role wins. All other losses
    are penalties, which are not weighed.
    """
    found: dict[str, list[Tensor]] = {}
    others = []
    for name, loss in losses.items():
        owners = [role for role in roles if name == role or name.startswith(f"{role}_")]
        if owners:
            found.setdefault(max(owners, key=len), []).append(loss)
        else:
            others.append(loss)
    return {role: _sum(found[role]) for role in roles if role in found}, _sum(others) if others else None


def weighted(found: Mapping[str, Tensor], weights: Iterable[Tensor], others: Tensor | None) -> Tensor:
    """`sum_t w_t L_t + others`; the weights are scalars, or one tensor of them, in the order of `found`."""
    terms = [weight * loss for weight, loss in zip(weights, found.values(), strict=True)]
    return _sum(terms if others is None else [*terms, others])


def _sum(losses: Sequence[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack([*losses]).sum()


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_equal": ["equal"],
        "aligned": ["Aligned"],
        "auxiliary": ["Auxiliary"],
        "cagrad": ["CAGrad"],
        "dwa": ["DynamicWeightAverage"],
        "famo": ["Famo"],
        "gls": ["GeometricMean"],
        "gradient_similarity": ["GradientSimilarity"],
        "gradnorm": ["GradNorm"],
        "imtl_g": ["IMTLG"],
        "mgda": ["MGDA"],
        "nash": ["Nash"],
        "pcgrad": ["PCGrad"],
        "random": ["Random"],
        "uncertainty": ["Uncertainty"],
        "upgrad": ["UPGrad"],
    },
)
