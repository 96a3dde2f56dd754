"""L2 penalty (ridge regression)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.needs import NO_LABELS, declares


@declares(NO_LABELS)
def l2(network: Network, batches: Mapping[str, Batch], *, strength: float) -> dict[str, Tensor]:
    """`strength * 1/2 * sum_w w^2` over the parameters being trained.

    With plain SGD it equals `weight_decay=strength`; with Adam it does not (Loshchilov & Hutter, ICLR 2019).
    """
    squares = [parameter.square().sum() for parameter in network.parameters() if parameter.requires_grad]
    return {"l2": 0.5 * strength * torch.stack(squares).sum()}
