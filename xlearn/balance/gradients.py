"""Per-task gradients on shared parameters or features, combined with weights that follow from their Gramian."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from xlearn.balance import At, Backward, by_task, weighted
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem

Weigh = Callable[[Tensor, Sequence[str]], Tensor]
# A gradient with a squared length below this counts as zero.
SMALLEST = torch.finfo(torch.float32).tiny


class Gradients:
    """`g = sum_t w_t g_t` on the parameters that the losses of two tasks or more reach, `w = weigh(G, roles)` with the Gramian
    `G_ij = <g_i, g_j>`, float64 `[tasks, tasks]` on the CPU; `w` float `[tasks]`.

    Parameters that a single task reaches (its head) keep that task's gradient; penalties are added with weight 1. Tasks with a
    zero gradient are left out of G and have weight 1, so `weigh` gets two tasks or more, each with G_ii > 0.

    - `at=parameters`: g_t are the gradients of the shared parameters. Costs one backward pass and a copy of these gradients per
      task.
    - `at=features`: g_t are the gradients of the features that all heads read. Costs one pass through the heads per task and
      one through all layers below. Needs tasks of the same examples and a sharing with common features, and losses that depend
      on the layers below through these features only.

    Raises `Problem` with the task's name for a shared gradient that is not finite.
    """

    def __init__(self, roles: Sequence[str], at: At, network: Network) -> None:
        self.roles, self.at = tuple(roles), at
        network.keeps_features = at == "features"

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward, weigh: Weigh) -> dict[str, Tensor]:
        """Set every parameter's `grad`; returns the weights of the tasks that have a loss."""
        found, others = by_task(losses, self.roles)
        weights = torch.ones(0)
        if found:
            of = _at_features if self.at == "features" else _at_parameters
            weights = of(found, backward, lambda gramian: self._weights(gramian, found, backward, weigh), others is not None)
        if others is not None:
            backward(others)
        return dict(zip(found, weights.unbind(), strict=True))

    def _weights(self, gramian: Tensor, found: Mapping[str, Tensor], backward: Backward, weigh: Weigh) -> Tensor:
        squares, roles = gramian.diagonal(), [*found]
        weights = torch.ones(len(gramian), dtype=torch.float64)
        scale = float(backward.scale(torch.ones((), device=found[roles[0]].device)))
        broken = ~squares.isfinite()
        if bool(broken.any()):
            # In fp16 the scaler skips a step with overflowing gradients and lowers the scale.
            if scale != 1:
                return weights
            role = roles[int(broken.nonzero()[0])]
            raise Problem(
                f"The loss of task {role} is {float(found[role].detach())} and its gradient is not finite. Lower optimizer.lr "
                f"(try a tenth), or check the data of {role}."
            )
        alive = (squares > SMALLEST).nonzero().flatten()
        if len(alive) > 1:
            seen = gramian[alive][:, alive] / scale**2
            weights[alive] = weigh(seen, [roles[position] for position in alive.tolist()]).to(weights)
        return weights


def _at_parameters(found: Mapping[str, Tensor], backward: Backward, weights: Callable[[Tensor], Tensor], more: bool) -> Tensor:
    parameters = [each for each in backward.parameters if each.requires_grad]
    by_loss = [
        _gradients(backward.scale(loss), parameters, retain=more or position < len(found) - 1)
        for position, loss in enumerate(found.values())
    ]
    by_parameter = [
        {position: grad for position, grad in enumerate(grads) if grad is not None} for grads in zip(*by_loss, strict=True)
    ]
    # Summed on the device for each set of tasks that reach a parameter, so that the CPU waits once per set.
    products: dict[tuple[int, ...], Tensor] = {}
    for grads in by_parameter:
        if len(grads) > 1:
            # Parameter by parameter: a matrix of them all would need the gradients' memory a second time.
            rows = torch.stack([*grads.values()]).reshape(len(grads), -1)
            product = rows @ rows.T
            products[tuple(grads)] = products[tuple(grads)] + product if tuple(grads) in products else product
    gramian = torch.zeros(len(found), len(found), dtype=torch.float64)
    for reached, product in products.items():
        at = torch.tensor(reached)
        gramian[at[:, None], at] += product.cpu().double()
    chosen = weights(gramian)
    factors = chosen.tolist()
    for parameter, grads in zip(parameters, by_parameter, strict=True):
        total = None
        for position, grad in grads.items():
            factor = factors[position] if len(grads) > 1 else 1.0
            total = _laid_out(parameter, grad, factor) if total is None else total.add_(grad, alpha=factor)
        parameter.grad = total
    return chosen


def _at_features(found: Mapping[str, Tensor], backward: Backward, weights: Callable[[Tensor], Tensor], more: bool) -> Tensor:
    network = backward.network
    features = [network.seen.get(role) for role in found]
    network.seen.clear()
    first = features[0]
    if first is None or any(each is not first for each in features):
        raise Problem(
            "balance.at=features: the tasks do not read the same features. It needs tasks of the same examples "
            "(joint.common=true) that share all features (sharing=all). Use balance.at=parameters."
        )
    if not first.requires_grad:  # everything below is frozen: there are only heads, and these are not shared
        ones = torch.ones(len(found))
        backward(weighted(found, ones.to(first.device), None))
        return ones
    below = {id(each) for part in (network.encoder, network.fusion, network.trunk) for each in part.parameters()}
    above = [each for each in backward.parameters if each.requires_grad and id(each) not in below]
    gradients = []
    for loss in found.values():
        at_features, *grads = _gradients(backward.scale(loss), [first, *above], retain=True)
        gradients.append(torch.zeros_like(first) if at_features is None else at_features)
        for parameter, grad in zip(above, grads, strict=True):
            if grad is not None:
                parameter.grad = _laid_out(parameter, grad) if parameter.grad is None else parameter.grad.add_(grad)
    # Under autocast features may be of half precision; their inner products must not be.
    jacobian = torch.stack(gradients).flatten(1).float()
    chosen = weights((jacobian @ jacobian.T).cpu().double())
    together = chosen.to(jacobian) @ jacobian
    first.backward(together.view_as(first).to(first.dtype), retain_graph=more)
    return chosen


def _gradients(loss: Tensor, of: Sequence[Tensor], retain: bool) -> tuple[Tensor | None, ...]:
    """None for tensors that the loss does not depend on."""
    if not loss.requires_grad:
        return (None,) * len(of)
    return torch.autograd.grad(loss, of, retain_graph=retain, allow_unused=True)


def _laid_out(parameter: Tensor, grad: Tensor, factor: float = 1.0) -> Tensor:
    """`factor * grad`, a copy in the parameter's memory layout, as fused optimizers need it."""
    return torch.mul(grad, factor, out=torch.empty_like(parameter, requires_grad=False))


def cosines(losses: Mapping[str, Tensor], roles: Sequence[str], parameters: Sequence[nn.Parameter]) -> dict[str, float]:
    """`<g_i, g_j> / (|g_i| |g_j|)` of each two tasks on the parameters that both reach, as `{"a b": cosine}`.

    Pairs without a shared parameter are left out, as are tasks without a loss or with a gradient of zero.
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
