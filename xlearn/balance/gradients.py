"""The gradients of single tasks on what they share: taken once, weighed by their Gramian, put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from xlearn.balance import Backward, by_task
from xlearn.errors import Problem
from xlearn.network import Network

At = Literal["parameters", "features"]
Weigh = Callable[[Tensor, Sequence[str]], Tensor]


class Gradients:
    """`g = sum_t w_t g_t` on the parameters that the losses of two tasks or more reach, `w = weigh(G, roles)` with the
    Gramian `G_ij = <g_i, g_j>`, float64 `[tasks, tasks]` on the CPU; `w` float `[tasks]`.

    What one task alone reaches (its head) keeps that task's own gradient, and penalties theirs.
    `at=parameters`: g_t are the gradients of the shared parameters, one backward pass per task; memory: one gradient of them
    per task. `at=features`: g_t are the gradients of the features that all heads read, one pass through the heads per task
    and one through everything below; it needs tasks of the same examples under a sharing with common features.
    Raises `Problem` for a loss or a gradient that is not finite, with the task's name.
    """

    def __init__(self, roles: Sequence[str], at: At, network: Network) -> None:
        self.roles, self.at = tuple(roles), at
        network.keeps_features = at == "features"

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward, weigh: Weigh) -> dict[str, Tensor]:
        """Set every parameter's `grad`; the weights by task."""
        found, others = by_task(losses, self.roles)
        names = list(found)
        of = _at_features if self.at == "features" else _at_parameters
        weights = of(found, backward, lambda gramian: self._weights(gramian, found, backward, weigh), others is not None)
        if others is not None:
            backward(others)
        return dict(zip(names, weights.unbind(), strict=True))

    def _weights(self, gramian: Tensor, found: Mapping[str, Tensor], backward: Backward, weigh: Weigh) -> Tensor:
        scale = float(backward.scale(torch.ones((), device=gramian.device)))
        gramian = gramian.detach().double().cpu() / scale**2
        broken = ~gramian.diagonal().isfinite()
        # In fp16 a step whose scaled gradients overflow is left out by the scaler, which takes a smaller scale then.
        if bool(broken.any()) and scale == 1:
            role = [*found][int(broken.nonzero()[0])]
            raise Problem(
                f"The loss of task {role} is {float(found[role])} and its gradient is not finite. Lower optimizer.lr (try a "
                f"tenth), or check the data of {role}."
            )
        if bool(broken.any()):
            return torch.ones(len(gramian), dtype=torch.float64)
        return weigh(gramian, [*found])


def _at_parameters(found: Mapping[str, Tensor], backward: Backward, weights: Callable[[Tensor], Tensor], more: bool) -> Tensor:
    parameters = [each for each in backward.parameters if each.requires_grad]
    by_loss = [
        torch.autograd.grad(
            backward.scale(loss), parameters, retain_graph=more or position < len(found) - 1, allow_unused=True
        )
        for position, loss in enumerate(found.values())
    ]
    reached = [sum(grad is not None for grad in grads) for grads in zip(*by_loss, strict=True)]
    shared = [position for position, count in enumerate(reached) if count > 1]
    jacobian = torch.stack([_flat(parameters, grads, shared) for grads in by_loss])
    chosen = weights(jacobian @ jacobian.T)
    together = chosen.to(jacobian) @ jacobian
    places = iter(together.split([parameters[position].numel() for position in shared]))
    for position, (parameter, count) in enumerate(zip(parameters, reached, strict=True)):
        if count > 1:
            parameter.grad = _like(parameter, next(places))
        elif count == 1:
            parameter.grad = next(grads[position] for grads in by_loss if grads[position] is not None)
    return chosen


def _at_features(found: Mapping[str, Tensor], backward: Backward, weights: Callable[[Tensor], Tensor], more: bool) -> Tensor:
    features = [backward.network.seen[role] for role in found]
    first = features[0]
    if any(each is not first for each in features) or not first.requires_grad:
        raise Problem(
            "balance.at=features: the tasks do not read the same features. It needs tasks of the same examples "
            "(joint.common=true) under a sharing whose features are common (sharing=hard). Use balance.at=parameters."
        )
    heads = [each for each in backward.network.head.parameters() if each.requires_grad]
    gradients = []
    for loss in found.values():
        below, *above = torch.autograd.grad(backward.scale(loss), [first, *heads], retain_graph=True, allow_unused=True)
        gradients.append(torch.zeros_like(first) if below is None else below)
        for parameter, grad in zip(heads, above, strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad + grad
    jacobian = torch.stack([each.flatten() for each in gradients])
    chosen = weights(jacobian @ jacobian.T)
    first.backward((chosen.to(jacobian) @ jacobian).view_as(first), retain_graph=more)
    return chosen


def _memory(values: Tensor) -> Tensor:
    """A flat view in the order of memory; `values` must fill theirs without gaps."""
    return values.as_strided((values.numel(),), (1,), values.storage_offset())


def _flat(parameters: Sequence[nn.Parameter], grads: Sequence[Tensor | None], places: Sequence[int]) -> Tensor:
    """The gradients at `places`, one after the other, each laid out as its parameter; zeros where there is none."""
    parts = []
    for place in places:
        parameter, grad = parameters[place], grads[place]
        if grad is None:
            parts.append(parameter.new_zeros(parameter.numel()))
        else:
            parts.append(_memory(grad if grad.stride() == parameter.stride() else torch.empty_like(parameter).copy_(grad)))
    return torch.cat(parts)


def _like(parameter: nn.Parameter, flat: Tensor) -> Tensor:
    """`flat` as a gradient that lies in memory as its parameter does (fused optimizers walk through memory)."""
    return flat.as_strided(parameter.shape, parameter.stride(), flat.storage_offset())


def cosines(losses: Mapping[str, Tensor], roles: Sequence[str], parameters: Sequence[nn.Parameter]) -> dict[str, float]:
    """`<g_i, g_j> / (|g_i| |g_j|)` of each two tasks on the parameters that both reach, as `{"a b": cosine}`.

    Pairs that share nothing are left out, as are tasks without a loss or with a gradient of zero.
    """
    found, _ = by_task(losses, roles)
    trained = [each for each in parameters if each.requires_grad]
    grads = {
        role: torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
        for role, loss in found.items()
        if loss.requires_grad
    }
    names = [*grads]
    cosine = {}
    for position, one in enumerate(names):
        for other in names[position + 1 :]:
            both = [(a, b) for a, b in zip(grads[one], grads[other], strict=True) if a is not None and b is not None]
            if not both:
                continue
            a, b = (torch.cat([pair[side].flatten() for pair in both]) for side in (0, 1))
            if (length := float(a.norm() * b.norm())) > 0:
                cosine[f"{one} {other}"] = float(a @ b) / length
    return cosine
