"""Customised gate control, and its progressive layers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.sharing.blocks import role_key
from xlearn.sharing.experts import expert, need_experts

COMMON = "common"


class Level(nn.Module):
    """One layer of extraction: experts of each task and common ones; a gate of each task over its own and the common ones,
    and, but for the last level, a common gate over all of them.
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
        """What each name in `wanted` reads next, from what each reads here, all `[batch, width]`."""
        needed = [*inputs] if COMMON in wanted else [*wanted, COMMON]
        given = {name: torch.stack([each(inputs[name]) for each in self.experts[name]], dim=1) for name in needed}
        found = {}
        for name in wanted:
            seen = [*given] if name == COMMON else [name, COMMON]
            gate = self.gates[name](inputs[name]).softmax(1)
            found[name] = (torch.cat([given[each] for each in seen], dim=1) * gate.unsqueeze(-1)).sum(1)
        return found


class Ple(nn.Module):
    """`y_t = h_t(sum_k softmax(W_t z)_k f_k(z))` over the `own` experts of task t and the `common` ones (customised gate
    control; Tang et al., RecSys 2020). With `levels` > 1 layers of them stand above each other (progressive layered
    extraction): the gates of one level give what the experts of the next read, and the common experts read through a gate
    over all experts.

    The experts stand on the features z that encoders, fusion and trunk make: dense layers with ReLU, `widths` between as many
    features as z has. Parameters: `levels (own tasks + common)` experts and their gates. Below the last level the experts of
    all tasks run on the examples of each. Raises `Problem` for counts below 1, and for more experts than there is memory for.
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
        """`[batch, width]` to the same shape, for one task."""
        read = dict.fromkeys(self.names, features)
        for level in self.levels:
            last = level is self.levels[-1]
            read = level(read, [role_key(task)] if last else self.names)
        return read[role_key(task)]
