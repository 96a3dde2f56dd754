"""What a network costs at inference: the parameters that a prediction reads, and floating-point operations."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.sharing.together import alone, few, reads

# So many examples are counted; texts and sounds have different lengths.
COUNTED = 16


def together(network: Network, tasks: Mapping[str, Task]) -> int:
    """How many numbers the predictions for all tasks together read, before anything is merged."""
    names = {name for task in tasks.values() for name in reads(network, few(task))}
    return sum(each.numel() for name, each in network.named_parameters() if name in names)


def cost(network: Network, task: Task) -> dict[str, Any]:
    """`parameters`: how many numbers a prediction for the task reads, after merging what merges; `flops`: floating-point
    operations of a forward pass per example, a multiplication and an addition being two (mean over training examples; matrix
    products and convolutions, as torch counts them; recurrent layers by their matrix products).
    """
    examples = task.train if len(task.train) else task.unlabeled
    batch = examples.take(torch.arange(min(COUNTED, len(examples))))
    served = alone(network, batch.task, task.labels.key).cpu()
    names = reads(served, batch)
    parameters = sum(each.numel() for name, each in served.named_parameters() if name in names)
    served.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        served(batch)
    return {"parameters": parameters, "flops": counter.get_total_flops() / len(batch)}
