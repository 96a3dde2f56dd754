"""Balances: combine the losses of several tasks into one gradient. `balance(losses, backward)` runs the backward pass.

A balance is a function, or a class that is built with a `PhaseContext` when its phase begins. A class may have:

- parameters: trained with the phase, at `rate` times its learning rate;
- state: saved and resumed with the phase;
- `weights`: the weight of each task in the last step, for the log;
- `follow(network)`: called after each step;
- `again(losses)`: called after each step with a function that computes the losses of the same batches once more.
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
    """The backward pass of one update: the network, its trained parameters, and the scaling of the losses.

    `scale` is the identity except in fp16, where small gradients would underflow; the optimizer step undoes it.
    """

    network: Network
    parameters: Sequence[nn.Parameter]
    scale: Callable[[Tensor], Tensor] = lambda loss: loss

    def __call__(self, total: Tensor) -> None:
        """Add the gradient of a scalar to all parameters' `grad`."""
        self.scale(total).backward()


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
