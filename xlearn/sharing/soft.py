"""Soft parameter sharing: a network per task, tied by a penalty on the distance of their weights."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.networks.outputs import block_paths
from xlearn.runtime.errors import Problem
from xlearn.sharing import Structure
from xlearn.sharing.blocks import above, users
from xlearn.sharing.private import Private


class Soft(Structure):
    """`penalty=l2`: `strength * sum_{i<j} |w_i - w_j|^2` over the tasks' columns (Duong et al., ACL 2015).
    `penalty=trace_norm`: `strength * sum_layers |[vec(W_1), ..., vec(W_n)]|_*`, the sum of the singular values of each layer's
    stacked weights, one row per task (Yang & Hospedales, ICLR workshop 2017).

    Encoder blocks, fusion, trunk and head are private, equal at the start; the penalty leaves out normalisation layers.
    Parameters: those of n networks. Raises `Problem` for a negative strength, and if no two tasks have a common modality,
    fusion or trunk.
    """

    ties = True

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        strength: float = 0.01,
        penalty: Literal["l2", "trace_norm"] = "l2",
    ) -> None:
        super().__init__()
        if strength < 0:
            raise Problem(f"sharing.strength={strength}: give 0 (tasks that share nothing) or more.")
        self.strength, self.penalty = strength, penalty
        of = {
            path: users(network, tasks)[name]
            for name, blocks in block_paths(network).items()
            for block in blocks
            for path in block
        }
        of |= above(network, tasks)
        self.of = {path: roles for path, roles in of.items() if len(roles) > 1}
        if not self.of:
            raise Problem("sharing=soft: no two tasks have a common modality, fusion or trunk. Use a trunk (trunk=mlp).")
        self.columns = Private(network, self.of)
        self.modalities = self.columns.modalities

    def private(self) -> dict[str, Private]:
        return {"columns.": self.columns}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        return self.columns.overrides(network, batch)

    def penalties(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        if self.strength == 0:
            return {}
        measure = _squares if self.penalty == "l2" else _trace_norm
        terms = [
            measure(list(weights))
            for path, roles in self.of.items()
            for weights in zip(*(_weights(self.columns.module(network, path, role)) for role in roles), strict=True)
        ]
        # No role has a dot in its name.
        return {"sharing.soft": self.strength * torch.stack(terms).sum()}

    def merge(self, network: Network, task: str) -> bool:
        return self.columns.merge(network, task)


def _weights(module: nn.Module) -> list[Tensor]:
    normalisations = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    return [
        parameter
        for each in module.modules()
        if not isinstance(each, normalisations)
        for parameter in each.parameters(recurse=False)
    ]


def _squares(weights: list[Tensor]) -> Tensor:
    return torch.stack([(one - other).square().sum() for one, other in itertools.combinations(weights, 2)]).sum()


def _trace_norm(weights: list[Tensor]) -> Tensor:
    return torch.linalg.svdvals(torch.stack([each.flatten() for each in weights])).sum()
