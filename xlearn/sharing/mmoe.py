"""Multi-gate mixture of experts."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.sharing import Structure
from xlearn.sharing.blocks import role_key
from xlearn.sharing.experts import expert, idleness, need_experts


class Mmoe(Structure):
    """`y_t = h_t(sum_k softmax(W_t z)_k f_k(z))` (Ma et al., KDD 2018): `experts` networks f_k on the features z of encoders,
    fusion and trunk, with a gate W_t and a head h_t for every task.

    f_k: dense layers with ReLU and hidden `widths`; its output has the width of z. `load_balance` times the squared coefficient
    of variation of the experts' importance is added to the loss, so that all experts are used (Shazeer et al., ICLR 2017). The
    gates read features, not raw inputs. Parameters: those of the experts, and `experts (width + 1)` per task.

    Raises: `Problem` for fewer than 2 experts, and for more than fit into memory.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        experts: int = 4,
        widths: list[int] | tuple[int, ...] | None = (64,),
        load_balance: float = 0.01,
    ) -> None:
        super().__init__()
        if experts < 2:
            raise Problem(f"sharing.experts={experts}: give 2 or more; a single one is sharing=hard.")
        if load_balance < 0:
            raise Problem(f"sharing.load_balance={load_balance}: give 0 or more.")
        width = network.width
        need_experts(experts, width, [*(widths or ())], experts=experts)
        self.experts = nn.ModuleList(expert(width, [*(widths or ())]) for _ in range(experts))
        self.gates = nn.ModuleDict({role_key(role): nn.Linear(width, experts) for role in tasks})
        self.load_balance = load_balance
        self._gates: dict[str, Tensor] = {}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        below = network.trunk.forward
        return {network.trunk: lambda fused: self.mixed(below(fused), batch.task)}

    def mixed(self, features: Tensor, task: str) -> Tensor:
        """Mix the experts by the gate of the task; `[batch, width]` to the same shape."""
        gate = self.gates[role_key(task)](features).softmax(1)
        if self.training:
            self._gates[task] = gate
        return (torch.stack([each(features) for each in self.experts], dim=1) * gate.unsqueeze(-1)).sum(1)

    def penalties(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        gates = [self._gates[role] for role in batches if role in self._gates]
        self._gates = {}
        return {"sharing.load_balance": self.load_balance * idleness(gates)} if self.load_balance and gates else {}
