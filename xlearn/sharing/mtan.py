"""Multi-task attention network (MTAN): attention of every task over shared features."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.networks.outputs import block_paths, channel_axis, first, with_first
from xlearn.networks.sizes import need_sizes
from xlearn.sharing import Structure
from xlearn.sharing.blocks import outputs, part_key, users


class Attention(nn.Module):
    """`a = sigmoid(V relu(U [u; a_before] + b) + c) * u`, on the channels at every position; `hidden` units."""

    def __init__(self, channels: int, before: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(channels + before, hidden)
        self.outer = nn.Linear(hidden, channels)

    def forward(self, shared: Tensor, before: Tensor | None) -> Tensor:
        """`shared [batch, ..., channels]`; `before`: the attended features of the previous block, of any size."""
        seen = shared if before is None else torch.cat([shared, _fitted(before, shared)], dim=-1)
        return torch.sigmoid(self.outer(self.inner(seen).relu())) * shared


def _fitted(before: Tensor, shared: Tensor) -> Tensor:
    """`before [batch, ..., channels]` average-pooled to the positions of `shared`."""
    if before.shape[:-1] == shared.shape[:-1]:
        return before
    if before.ndim == shared.ndim == 4:
        return functional.adaptive_avg_pool2d(before.movedim(-1, 1), (shared.shape[1], shared.shape[2])).movedim(1, -1)
    if before.ndim == shared.ndim == 3:
        return functional.adaptive_avg_pool1d(before.movedim(-1, 1), shared.shape[1]).movedim(1, -1)
    mean = before.flatten(1, -2).mean(1) if before.ndim > 2 else before
    return mean.reshape(len(mean), *[1] * (shared.ndim - 2), -1).expand(*shared.shape[:-1], -1)


class Mtan(Structure):
    """Multi-task attention network (Liu, Johns & Davison, CVPR 2019): `a_t^l = sigmoid(g_t([u^l; a_t^{l-1}])) * u^l` after
    every block l of the shared encoder with output u^l; fusion and heads read the a_t of the last block.

    g is two dense layers over the channels at every position, with channels / `reduction` hidden units (the paper: 1 x 1
    convolutions with batch normalisation); a_t^{l-1} is average-pooled to the positions of u^l (the paper: a 3 x 3 convolution
    and pooling), so it works for any encoder. Parameters per task and block: `(C_l + C_{l-1} + 1) h + (h + 1) C_l`, h = C_l /
    reduction. Raises `Problem` for a reduction below 1.
    """

    def __init__(self, network: Network, tasks: Mapping[str, Task], *, reduction: int = 4) -> None:
        super().__init__()
        need_sizes("sharing", reduction=reduction)
        self.ends = {name: [block[-1] for block in blocks if block] for name, blocks in block_paths(network).items()}
        given = outputs(network, tasks, [path for paths in self.ends.values() for path in paths])
        self.ends = {name: [path for path in paths if path in given] for name, paths in self.ends.items()}
        self.axes = {path: channel_axis(network.get_submodule(path), each) for path, each in given.items()}
        self.modalities = {*self.ends}
        self.attention = nn.ModuleDict()
        for name, roles in users(network, tasks).items():
            for role in roles:
                before = 0
                for path in self.ends[name]:
                    channels = given[path].shape[self.axes[path]]
                    self.attention[part_key(role, path)] = Attention(channels, before, max(channels // reduction, 1))
                    before = channels

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found = {}
        for name, paths in self.ends.items():
            attended: list[Tensor] = []
            for path in paths if name in batch.inputs else ():
                module = network.get_submodule(path)
                attention = self.attention[part_key(batch.task, path)]
                found[module] = self._attended(module.forward, attention, self.axes[path], attended, path == paths[-1])
        return found

    @staticmethod
    def _attended(
        forward: Callable[..., Any], attention: nn.Module, axis: int, attended: list[Tensor], last: bool
    ) -> Callable[..., Any]:
        def given(*arguments: Any, **named: Any) -> Any:
            value = forward(*arguments, **named)
            mine = attention(first(value).movedim(axis, -1), attended[-1] if attended else None)
            attended[:] = [mine]
            return with_first(value, mine.movedim(-1, axis)) if last else value

        return given
