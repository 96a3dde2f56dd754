"""What self-supervision puts on top of a network: two layers, thrown away with the phase, and the two views they compare."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.self_supervision.collapse import CollapseMonitor
from xlearn.runtime.errors import Problem


def projector(before: int, width: int, hidden: int, network: Network, use: str, normalised: bool = True) -> nn.Sequential:
    """`float [n, before] -> float [n, width]`: linear - batch normalisation - ReLU - linear, with `hidden` numbers between
    (Chen et al., ICML 2020; without the normalisation as in MoCo v2, Chen et al., 2020).

    The normalisation always takes the batch's own statistics, and keeps none: a projector is never evaluated. Beginning as
    `linear`; `use` names what it is for: two of one name begin with the same weights. Raises `Problem` for width or hidden
    below 1.
    """
    for name, value in (("width", width), ("hidden", hidden)):
        if value < 1:
            raise Problem(f"{use}: {name}={value}: a projection needs 1 number or more. Give e.g. 64.")
    first, second = linear(before, hidden, network, f"{use} first"), linear(hidden, width, network, f"{use} second")
    between = [nn.BatchNorm1d(hidden, track_running_stats=False)] if normalised else []
    return nn.Sequential(first, *between, nn.ReLU(), second)


def pairs_of_views(
    context: PhaseContext, network: Network, batches: Mapping[str, Batch], monitor: CollapseMonitor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(role, features of a view, features of another view) of each role's examples, `float [batch, width]` in single precision.

    Each view passes the network by itself: a batch normalisation in an encoder sees one view of one role at a time. The
    monitor notes the features of the first.
    """
    for role, batch in batches.items():
        one, other = (network.features(context.view(batch)).float() for _ in range(2))
        monitor.note(role, one)
        yield role, one, other
