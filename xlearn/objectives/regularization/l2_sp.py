"""L2-SP: L2 penalty on the distance to the initial weights of the phase."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.needs import Needs


class L2SP(Objective, nn.Module):
    """`alpha/2 * sum (w - w0)^2` over copied, `beta/2 * sum w^2` over fresh parameters (Li et al., ICML 2018, eq. 3).

    w0 is the value at the start of the phase. Only trained parameters are penalised.
    """

    needs = Needs(labels=False, trains_head=False, copied=True)

    def __init__(self, context: PhaseContext, *, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.copied = [name for name, _ in context.network.named_parameters() if name in context.copied]
        for position, name in enumerate(self.copied):
            # Not persistent: a resumed phase starts from the same weights and registers them again.
            value = context.network.get_parameter(name).detach().clone()
            self.register_buffer(f"start_{position}", value, persistent=False)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        references = {name: self.get_buffer(f"start_{position}") for position, name in enumerate(self.copied)}
        near, fresh = [], []
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            if name in references:
                near.append((parameter - references[name]).square().sum())
            else:
                fresh.append(parameter.square().sum())
        terms = [0.5 * self.alpha * torch.stack(near).sum()] if near else []
        terms += [0.5 * self.beta * torch.stack(fresh).sum()] if fresh else []
        return {"l2_sp": torch.stack(terms).sum()}
