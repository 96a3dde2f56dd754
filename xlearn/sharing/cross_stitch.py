"""Cross-stitch units: one column per task, linearly mixed after each block."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, Tokens
from xlearn.networks.outputs import block_paths, channel_axis, first, with_first
from xlearn.runtime.errors import Problem
from xlearn.sharing import Structure
from xlearn.sharing.blocks import above, copy_key, outputs, part, repeated, together, users
from xlearn.sharing.private import Private


class CrossStitch(Structure):
    """After block l of an encoder `x~_t = sum_j a_tj x_j`, with x_j the output of task j's column for the input of task t
    (Misra et al., CVPR 2016). a starts with `own` on its diagonal and `(1 - own) / (n - 1)` elsewhere, and is learned at
    `rate` times the learning rate.

    Columns are equal at the start; fusion, trunk and head are private. With `subspaces` G > 1 the channels of every column are
    split into G parts and a mixes all parts of all columns: sluice networks (Ruder et al., AAAI 2019; without their skip
    connections to the top). `layers`: the blocks that are mixed (from 0; null: all).
    Cost: every column runs on the inputs of every task that has the modality. Parameters: those of n networks and
    `(n G)^2` per mixed block.

    Raises: `Problem` without a modality common to two tasks, for a missing block, and for channels that cannot be split.
    """

    mixes = True

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        own: float = 0.9,
        rate: float = 10.0,
        subspaces: int = 1,
        layers: list[int] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= own <= 1:
            raise Problem(f"sharing.own={own}: give a share in [0, 1], e.g. 0.9.")
        if subspaces < 1:
            raise Problem(f"sharing.subspaces={subspaces}: give 1 or more.")
        self.rate, self.subspaces = rate, subspaces
        self.roles = {name: roles for name, roles in users(network, tasks).items() if len(roles) > 1}
        if not self.roles:
            raise Problem("sharing: no two tasks have a common modality, so there are no columns to stitch. Use a trunk.")
        self.blocks = {name: blocks for name, blocks in block_paths(network).items() if name in self.roles}
        of = {path: self.roles[name] for name, blocks in self.blocks.items() for block in blocks for path in block}
        self.columns = Private(network, {**of, **above(network, tasks)})
        self.modalities = self.columns.modalities
        self.mix = nn.ParameterDict()
        ends = {name: self._ends(name, layers) for name in self.roles}
        shapes = outputs(network, tasks, [path for paths in ends.values() for path in paths])
        self.axes = {path: channel_axis(network.get_submodule(path), given) for path, given in shapes.items()}
        for name, paths in ends.items():
            size = len(self.roles[name]) * subspaces
            for path in paths:
                if (channels := shapes[path].shape[self.axes[path]]) % subspaces:
                    raise Problem(f"sharing.subspaces={subspaces}: {path} has {channels} channels, no multiple of it.")
                start = torch.full((size, size), (1 - own) / max(size - 1, 1))
                self.mix[copy_key(path)] = nn.Parameter(start.fill_diagonal_(own))

    def _ends(self, name: str, layers: list[int] | None) -> list[str]:
        """The last modules of the mixed blocks."""
        blocks = self.blocks[name]
        for layer in layers or ():
            if not 0 <= layer < len(blocks):
                raise Problem(
                    f"sharing.layers: {layer}, but encoder.{name} has {len(blocks)} blocks. Give 0 to {len(blocks) - 1}."
                )
        chosen = range(len(blocks)) if layers is None else layers
        return [blocks[layer][-1] for layer in chosen if blocks[layer]]

    def rates(self) -> dict[str, float]:
        return {f"mix.{name}": self.rate for name in self.mix}

    def private(self) -> dict[str, Private]:
        return {"columns.": self.columns}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found = {
            module: forward
            for module, forward in self.columns.overrides(network, batch).items()
            if module in (network.fusion, network.trunk)
        }
        for name, roles in self.roles.items():
            if name not in batch.inputs:
                continue
            count, encoder = len(roles), network.encoder[name]
            found[encoder] = _columns(encoder.forward, roles.index(batch.task), count, batch.memo, f"columns {name}")
            for block in self.blocks[name]:
                for path in block:
                    module = network.get_submodule(path)
                    # The module is replaced, so call its original forward.
                    column = [self.columns.module(network, path, role) for role in roles]
                    forwards = [each.forward if each is module else each.__call__ for each in column]
                    found[module] = self._stitched(forwards, path)
        return found

    def _stitched(self, forwards: list[Callable[..., Any]], path: str) -> Callable[..., Any]:
        count, mix = len(forwards), self.mix.get(copy_key(path), None)

        def forward(*arguments: Any, **named: Any) -> Any:
            size = len(first(arguments)) // count
            given = [
                each(*part(arguments, column, count, size), **part(named, column, count, size))
                for column, each in enumerate(forwards)
            ]
            if mix is not None:
                mixed = self._mixed(torch.stack([first(each) for each in given]), mix, self.axes[path] + 1)
                given = [with_first(each, new) for each, new in zip(given, mixed.unbind(), strict=True)]
            return together(given)

        return forward

    def _mixed(self, x: Tensor, mix: Tensor, axis: int) -> Tensor:
        """`x [columns, batch, ...]` with its channels at `axis`."""
        if not x.is_floating_point():
            return x
        mix = mix.to(x.dtype)
        if self.subspaces == 1:
            return torch.tensordot(mix, x, dims=([1], [0]))
        parts = x.unflatten(axis, (self.subspaces, -1)).movedim(axis, 1)
        mixed = torch.tensordot(mix, parts.flatten(0, 1), dims=([1], [0])).unflatten(0, parts.shape[:2])
        return mixed.movedim(1, axis).flatten(axis, axis + 1)


def _columns(encode: Callable[..., Any], own: int, count: int, memo: dict[Any, Any] | None, name: str) -> Callable[..., Tokens]:
    """Run the encoder on the inputs repeated `count` times, one part per column, and return the tokens of the task's own
    column. Tasks with the same inputs reuse the result in `memo`.
    """

    def forward(inputs: Any) -> Tokens:
        size = len(first(inputs))
        kept: dict[Any, Any] = {} if memo is None else memo
        if name not in kept:
            kept[name] = encode(repeated(inputs, count))
        values, mask = kept[name]
        return Tokens(part(values, own, count, size), part(mask, own, count, size))

    return forward
