"""Logits, features and tokens of examples, without gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Column, Ragged, offsets
from xlearn.data.task import Batch, Examples
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine, place

BATCH = 256


def over(network: Network, examples: Examples, machine: Machine, give: Callable[[Batch], Any]) -> Iterator[tuple[Tensor, Any]]:
    """Yields (positions in `examples`, `give(batch)`) batch by batch; sequences of similar lengths share a batch."""
    # Outside of inference mode, because a tensor that is made in it cannot be trained.
    place(network, machine)
    network.eval()
    lengths = examples.lengths()
    order = torch.arange(len(examples)) if lengths is None else lengths.argsort(stable=True)
    for positions in order.split(BATCH):
        with torch.inference_mode():
            found = give(examples.take(positions).to(machine.device))
        yield positions, found


def _rows(network: Network, examples: Examples, machine: Machine, give: Callable[[Batch], Tensor]) -> Tensor:
    found = list(over(network, examples, machine, lambda batch: give(batch).float().cpu()))
    with torch.inference_mode():
        return torch.cat([values for _, values in found])[torch.cat([positions for positions, _ in found]).argsort()]


def logits(network: Network, examples: Examples, machine: Machine) -> Tensor:
    """`float [n, classes]` on the CPU, in evaluation mode. n > 0."""
    return _rows(network, examples, machine, network)


def features(network: Network, examples: Examples, machine: Machine) -> Tensor:
    """The features that the heads read, `float [n, width]` on the CPU."""
    return _rows(network, examples, machine, network.features)


def seen(network: Network, examples: Examples, machine: Machine) -> tuple[Tensor, Tensor]:
    """Features and logits in one pass."""

    def both(batch: Batch) -> Tensor:
        batch.memo = {}  # keeps the features for the logits
        return torch.cat([network.features(batch), network(batch)], dim=1)

    found = _rows(network, examples, machine, both)
    return found[:, : network.width], found[:, network.width :]


def tokens(network: Network, examples: Examples, modality: str, machine: Machine) -> Column:
    """The tokens of one modality: `float [n, width]` where the encoder gives one token per example, otherwise `Ragged`."""
    parts, lengths, order = [], [], []
    single = True
    for positions, (values, mask) in over(network, examples, machine, lambda batch: network.encoded(batch, modality)):
        single = single and mask is None and values.shape[1] == 1
        there = torch.ones(values.shape[:2], dtype=torch.bool) if mask is None else mask.cpu()
        parts.append(values.float().cpu()[there])
        lengths.append(there.sum(1))
        order.append(positions)
    back = torch.cat(order).argsort()
    # Copied outside of inference mode, so that a phase may train on them.
    values = torch.cat(parts).clone()
    return values[back] if single else Ragged(values, offsets(torch.cat(lengths))).subset(back)
