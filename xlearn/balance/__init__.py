"""Balances: the losses of several tasks to one gradient. Called as `balance(losses, backward)`; it runs the backward pass.

A function is used as it is. A class is built with a `PhaseContext` when its phase begins; it may hold parameters, which are
trained with the phase at `rate` times its learning rate, and state, which is saved and resumed. Its attribute `weights`, if it
has one, is what it gave each task at the last step: it is logged. If it has a method `follow(network)`, that is called
after each step; with `again(losses)` it is called after each step with a function that gives the same batches' losses once
more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import lazy_loader as lazy
import torch
from torch import Tensor, nn

from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Backward:
    """The backward pass of one update: the network, the parameters that are trained, and how losses are scaled before it.

    `scale` is the identity but in fp16, where gradients would vanish otherwise; the optimizer's side undoes it.
    """

    network: Network
    parameters: Sequence[nn.Parameter]
    scale: Callable[[Tensor], Tensor] = lambda loss: loss

    def __call__(self, total: Tensor) -> None:
        """Add the gradient of a scalar to all parameters' `grad`."""
        self.scale(total).backward()


def tasks(context: PhaseContext, name: str) -> tuple[str, ...]:
    """The roles of the tasks that the phase reads, in their order. Raises `Problem` where there is nothing to balance."""
    roles = tuple(context.class_counts)
    if len(roles) < 2:
        raise Problem(
            f"balance={name} weighs the losses of several tasks against each other, and the phase reads {len(roles)}. Choose "
            "several sources, transfer=joint, or balance=equal."
        )
    return roles


def by_task(losses: Mapping[str, Tensor], roles: Sequence[str]) -> tuple[dict[str, Tensor], Tensor | None]:
    """(the loss of each task that has one, in the order of `roles`; the sum of all others, None without any).

    A loss belongs to the task `role` if it is called so, or `role_...`: the longest such role. What belongs to none is a
    penalty, and is not weighed.
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
