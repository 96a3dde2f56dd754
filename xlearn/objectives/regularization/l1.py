"""L1 penalty (lasso)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.needs import NO_LABELS, declares


@declares(NO_LABELS)
def l1(network: Network, batches: Mapping[str, Batch], *, strength: float) -> dict[str, Tensor]:
    """`strength * sum_w |w|` over the parameters being trained."""
    sums = [parameter.abs().sum() for parameter in network.parameters() if parameter.requires_grad]
    return {"l1": strength * torch.stack(sums).sum()}
