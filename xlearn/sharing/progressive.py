"""Progressive networks: a column per task with lateral connections from the frozen earlier columns."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, instead
from xlearn.networks.outputs import block_paths, channel_axis, first, with_first
from xlearn.networks.present import readable
from xlearn.runtime.errors import Problem
from xlearn.sharing import Structure
from xlearn.sharing.blocks import SLASH, above, outputs, part_key, role_key, users
from xlearn.sharing.private import Private


class Progressive(Structure):
    """Block l of the column of task t reads `h_t^{l-1} + sum_{j < t} U_tj^l h_j^{l-1}` (Rusu et al., 2016): the output of its
    own column and, through lateral maps U over channels, those of earlier tasks. The sources are ordered by name, the target
    is last.

    The maps start at zero and are linear (the paper: with a non-linearity, and after the block's weights, which is the same
    for its first layer). Earlier columns run in evaluation mode without gradient: each learns from its own task only. In a
    joint phase all columns are trained at once; with `transfer=sequential` the sources' columns are trained and frozen before
    the target's, as in the paper. Fusion, trunk and head are private. The number of parameters grows with the square of the
    number of tasks. Raises `Problem` without a modality common to two tasks.
    """

    def __init__(self, network: Network, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.roles = {name: _target_last(roles) for name, roles in users(network, tasks).items()}
        if not any(len(roles) > 1 for roles in self.roles.values()):
            raise Problem("sharing: no two tasks have a common modality, so no column can read from another. Use a trunk.")
        self.blocks = {name: [block for block in blocks if block] for name, blocks in block_paths(network).items()}
        of = {path: self.roles[name] for name, blocks in self.blocks.items() for block in blocks for path in block}
        self.columns = Private(network, {**of, **above(network, tasks)})
        self.modalities = self.columns.modalities
        ends = {name: [block[-1] for block in blocks] for name, blocks in self.blocks.items()}
        given = outputs(network, tasks, [path for paths in ends.values() for path in paths])
        self.axes = {path: channel_axis(network.get_submodule(path), each) for path, each in given.items()}
        self.lateral = nn.ModuleDict()
        for name, roles in self.roles.items():
            for position, role in enumerate(roles):
                for earlier in roles[:position]:
                    for path in ends[name][:-1]:
                        channels = given[path].shape[self.axes[path]]
                        self.lateral[self._key(role, earlier, path)] = _zeros(channels)

    @staticmethod
    def _key(role: str, earlier: str, path: str) -> str:
        return f"{role_key(role)}{SLASH}{part_key(earlier, path)}"

    def private(self) -> dict[str, Private]:
        return {"columns.": self.columns}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found = self.columns.overrides(network, batch)
        for name, roles in self.roles.items():
            if name not in batch.inputs or name in batch.encoded:
                continue
            given, rows = readable(batch, name)
            if rows is not None and not len(rows):  # nothing calls the encoder then
                continue
            before: dict[str, dict[str, Tensor]] = {}
            for role in roles[: roles.index(batch.task)]:
                seen: dict[str, Tensor] = {}
                column = self._column(network, name, role, before, seen)
                with torch.no_grad(), instead(column), _evaluating([*self._column_modules(network, name, role)]):
                    network.encoder[name](given)
                before[role] = seen
            found |= self._column(network, name, batch.task, before, {})
        return found

    def _column_modules(self, network: Network, name: str, role: str) -> Iterator[nn.Module]:
        return (self.columns.module(network, path, role) for block in self.blocks[name] for path in block)

    def frozen(self, network: Network, role: str) -> list[nn.Parameter]:
        """The earlier columns of a task, with their lateral maps."""
        found = []
        for name, roles in self.roles.items():
            before = roles[: roles.index(role)] if role in roles else []
            found += [
                each
                for other in before
                for module in self._column_modules(network, name, other)
                for each in module.parameters()
            ]
            keys = tuple(f"{role_key(other)}{SLASH}" for other in before)
            found += [each.weight for key, each in self.lateral.items() if key.startswith(keys or ("\0",))]
        return found

    def _column(
        self, network: Network, name: str, role: str, before: Mapping[str, Mapping[str, Tensor]], seen: dict[str, Tensor]
    ) -> dict[nn.Module, Callable[..., Any]]:
        """The overrides that run a task's column; the outputs of its blocks are stored in `seen`."""
        found = {}
        for position, block in enumerate(self.blocks[name]):
            for path in block:
                module, own = network.get_submodule(path), self.columns.module(network, path, role)
                forward = module.forward if own is module else own.__call__
                ends = path == block[-1] and position < len(self.blocks[name]) - 1
                found[module] = self._lateral(forward, role, path, before, seen) if ends else forward
        return found

    def _lateral(
        self, forward: Callable[..., Any], role: str, path: str, before: Mapping[str, Mapping[str, Tensor]],
        seen: dict[str, Tensor],
    ) -> Callable[..., Any]:  # fmt: skip
        axis = self.axes[path]

        def given(*arguments: Any, **named: Any) -> Any:
            value = forward(*arguments, **named)
            own = seen[path] = first(value)
            for earlier, outputs_of in before.items():
                add = self.lateral[self._key(role, earlier, path)](outputs_of[path].movedim(axis, -1))
                own = own + add.movedim(-1, axis)
            return with_first(value, own)

        return given


def _target_last(roles: list[str]) -> list[str]:
    return [*(role for role in roles if role != "target"), *(role for role in roles if role == "target")]


def _zeros(channels: int) -> nn.Linear:
    lateral = nn.Linear(channels, channels, bias=False)
    nn.init.zeros_(lateral.weight)
    return lateral


@contextmanager
def _evaluating(modules: list[nn.Module]) -> Iterator[None]:
    """Within this context the modules are in evaluation mode: no statistics change, and there is no dropout."""
    modes = [(inner, inner.training) for module in modules for inner in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
