"""The inference cost of a network: the parameters that a prediction uses, and floating-point operations."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.sharing.together import alone, few, reads

# Operations are averaged over this many examples, because texts and sounds differ in length.
COUNTED = 16


def together(network: Network, tasks: Mapping[str, Task]) -> int:
    """The number of parameters that the predictions of all tasks use, before merging."""
    names = {name for task in tasks.values() for name in reads(network, few(task))}
    return sum(each.numel() for name, each in network.named_parameters() if name in names)


def cost(network: Network, task: Task) -> dict[str, Any]:
    """The inference cost for the task.

    `parameters`: the number of parameters that a prediction uses, after merging (e.g. of LoRA). `flops`: floating-point
    operations of a forward pass per example, with a multiplication and an addition as two (mean over training examples;
    matrix products and convolutions as torch counts them, recurrent layers by their matrix products).
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
