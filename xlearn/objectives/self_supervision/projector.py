"""Projectors of self-supervision, dropped after the phase, and the features of two views."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.self_supervision.collapse import CollapseMonitor
from xlearn.runtime.errors import Problem


def projector(before: int, width: int, hidden: int, network: Network, use: str, normalised: bool = True) -> nn.Sequential:
    """`float [n, before] -> float [n, width]`: linear - batch normalisation - ReLU - linear, with `hidden` units (Chen et al.,
    ICML 2020; without normalisation as in MoCo v2, Chen et al., 2020).

    The normalisation always uses batch statistics, because a projector is never evaluated. Initialised as `linear`; `use` names
    its purpose: two with the same name have the same initial weights. Raises `Problem` for width or hidden below 1.
    """
    for name, value in (("width", width), ("hidden", hidden)):
        if value < 1:
            raise Problem(f"{use}: {name}={value}: give 1 or more, e.g. 64.")
    first, second = linear(before, hidden, network, f"{use} first"), linear(hidden, width, network, f"{use} second")
    between = [nn.BatchNorm1d(hidden, track_running_stats=False)] if normalised else []
    return nn.Sequential(first, *between, nn.ReLU(), second)


def pairs_of_views(
    context: PhaseContext, network: Network, batches: Mapping[str, Batch], monitor: CollapseMonitor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yields (role, features of a view, features of another view) per role, `float [batch, width]` in single precision.

    Each view has a separate forward pass, so batch normalisation uses the statistics of one view of one role. The monitor
    records the features of the first view.
    """
    for role, batch in batches.items():
        one, other = (network.features(context.view(batch)).float() for _ in range(2))
        monitor.note(role, one)
        yield role, one, other
