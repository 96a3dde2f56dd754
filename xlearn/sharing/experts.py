"""Parts of mixtures of experts: the expert networks, their memory check, and the load-balancing penalty."""

import itertools

import torch
from torch import Tensor, nn

from xlearn.networks.sizes import need_layers
from xlearn.runtime.errors import Problem
from xlearn.runtime.memory import available

# Weight, gradient and two moments of Adam, four bytes each.
BYTES_PER_PARAMETER = 16


def expert(width: int, widths: list[int]) -> nn.Sequential:
    """Dense layers `width -> widths... -> width`, each with ReLU."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([width, *widths, width]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers)


def need_experts(count: int, width: int, widths: list[int], **counts: int) -> None:
    """Raise `Problem` for counts below 1, and for more experts than fit into memory, before building any."""
    for name, each in counts.items():
        if each < 1:
            raise Problem(f"sharing.{name}={each}: give 1 or more.")
    if widths:
        need_layers("sharing", "widths", widths)
    each = sum((before + 1) * after for before, after in itertools.pairwise([width, *widths, width]))
    needed, there = count * each * BYTES_PER_PARAMETER, available()
    if needed > there:
        listed = ", ".join(f"sharing.{name}={value}" for name, value in counts.items())
        raise Problem(
            f"{listed}: {count:,} experts of {each:,} parameters need {needed / 2**30:,.1f} GiB to train, and "
            f"{there / 2**30:,.1f} GiB are free. Give fewer, or smaller ones (sharing.widths={widths}, features: {width})."
        )


def idleness(gates: list[Tensor]) -> Tensor:
    """`CV^2 = var(I) / mean(I)^2` of the importance I_k, the sum over tasks of the mean gate of expert k (Shazeer et al., ICLR
    2017, eq. 6): 0 if all experts are used equally. `gates`: `[batch, experts]` of each task.
    """
    importance = torch.stack([each.mean(0) for each in gates]).sum(0)
    return importance.var(unbiased=False) / importance.mean().square().clamp_min(1e-12)
