"""Customised gate control (CGC) and progressive layered extraction (PLE)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.sharing import Structure
from xlearn.sharing.blocks import role_key
from xlearn.sharing.experts import expert, need_experts

COMMON = "common"


class Level(nn.Module):
    """One extraction layer: private experts of each task and common ones; a gate per task over its own and the common experts,
    and, except in the last level, a common gate over all experts.
    """

    def __init__(self, roles: list[str], width: int, widths: list[int], own: int, common: int, last: bool) -> None:
        super().__init__()
        owners = {role_key(role): own for role in roles} | {COMMON: common}
        self.experts: Any = nn.ModuleDict(
            {name: nn.ModuleList(expert(width, widths) for _ in range(count)) for name, count in owners.items()}
        )
        sizes = {role_key(role): own + common for role in roles} | ({} if last else {COMMON: own * len(roles) + common})
        self.gates = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, inputs: Mapping[str, Tensor], wanted: list[str]) -> dict[str, Tensor]:
        """The inputs of the next level for each name in `wanted`, from the inputs of this level; all `[batch, width]`."""
        needed = [*inputs] if COMMON in wanted else [*wanted, COMMON]
        given = {name: torch.stack([each(inputs[name]) for each in self.experts[name]], dim=1) for name in needed}
        found = {}
        for name in wanted:
            seen = [*given] if name == COMMON else [name, COMMON]
            gate = self.gates[name](inputs[name]).softmax(1)
            found[name] = (torch.cat([given[each] for each in seen], dim=1) * gate.unsqueeze(-1)).sum(1)
        return found


class Ple(Structure):
    """`y_t = h_t(sum_k softmax(W_t z)_k f_k(z))` over the `own` experts of task t and the `common` ones (customised gate
    control; Tang et al., RecSys 2020). With `levels` > 1 such layers are stacked (progressive layered extraction): the gated
    outputs of one level are the inputs of the next, and the inputs of the common experts come from a gate over all experts.

    The experts read the features z of encoders, fusion and trunk. They are dense layers with ReLU and hidden `widths`; their
    output has the width of z. Parameters: `levels (own tasks + common)` experts and their gates. Below the last level the
    experts of all tasks run on the examples of each task.

    Raises: `Problem` for counts below 1, and for more experts than fit into memory.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        levels: int = 2,
        own: int = 1,
        common: int = 2,
        widths: list[int] | tuple[int, ...] | None = (64,),
    ) -> None:
        super().__init__()
        width, roles = network.width, [*tasks]
        count = levels * (own * len(roles) + common)
        need_experts(count, width, [*(widths or ())], levels=levels, own=own, common=common)
        self.levels = nn.ModuleList(
            Level(roles, width, [*(widths or ())], own, common, position == levels - 1) for position in range(levels)
        )
        self.names = [*map(role_key, roles), COMMON]

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        below = network.trunk.forward
        return {network.trunk: lambda fused: self.extracted(below(fused), batch.task)}

    def extracted(self, features: Tensor, task: str) -> Tensor:
        """The extracted features of one task; `[batch, width]` to the same shape."""
        read = dict.fromkeys(self.names, features)
        for level in self.levels:
            last = level is self.levels[-1]
            read = level(read, [role_key(task)] if last else self.names)
        return read[role_key(task)]
