"""torch's random state on every device: saved, restored, and used to repeat a forward pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def random_state() -> dict[str, Any]:
    """The state of all generators, as plain containers."""
    return {
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "random_mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` returned, on the devices that exist here."""
    torch.set_rng_state(state["random"])
    if state["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
    if state["random_mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["random_mps"])


def repeatable(network: nn.Module) -> Callable[[], Any]:
    """A context that repeats the forward pass that follows this call: the same dropout, no gradient, and unchanged
    normalisation statistics.
    """
    state = random_state()

    @contextmanager
    def again() -> Iterator[None]:
        now, buffers = random_state(), [(buffer, buffer.clone()) for buffer in network.buffers()]
        set_random_state(state)
        with torch.no_grad():
            try:
                yield
            finally:
                set_random_state(now)
                for buffer, value in buffers:
                    buffer.copy_(value)

    return again
