"""What a network makes of examples, without gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

from xlearn.machine import Machine, place
from xlearn.network import Network
from xlearn.task import Batch, Examples

BATCH = 256


def _over(network: Network, examples: Examples, machine: Machine, give: Callable[[Batch], Tensor]) -> Tensor:
    # Moved outside of inference mode: what is laid out anew in it could never be trained again.
    place(network, machine)
    network.eval()
    with torch.inference_mode():
        parts = [
            give(examples.slice(start, start + BATCH).to(machine.device)).float().cpu()
            for start in range(0, len(examples), BATCH)
        ]
    return torch.cat(parts)


def logits(network: Network, examples: Examples, machine: Machine) -> Tensor:
    """`float [n, classes]` on the CPU, in evaluation mode. n > 0."""
    return _over(network, examples, machine, network)


def features(network: Network, examples: Examples, machine: Machine) -> Tensor:
    """`float [n, width]` on the CPU: what the heads read."""
    return _over(network, examples, machine, network.features)
