"""Initial weights without training. Called as `start(network)`; returns the tensors to load, `{name: tensor}`.

A function whose weights may come from an earlier run has its folder in the argument `path`, or declares another by `@from_run`:
such a run must have had the same splits.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lazy_loader as lazy
from torch import Tensor

from xlearn.data.provenance import Provenance, read
from xlearn.networks.network import Network

Function = TypeVar("Function", bound=Callable[..., Any])


def from_run(argument: str) -> Callable[[Function], Function]:
    """A decorator that declares the argument with the folder of an earlier run."""

    def declared(function: Function) -> Function:
        vars(function)["from_run"] = argument
        return function

    return declared


class Start:
    """The initial weights of the source's network: random ones."""

    # Whether weights are loaded.
    loads = False
    # The folder of the earlier run from which they come, if any.
    folder = ""

    def __call__(self, network: Network) -> dict[str, Tensor]:
        return {}

    def provenance(self) -> Provenance:
        """What these weights have learned from."""
        return Provenance()


class Loaded(Start):
    """Weights that a function of this room loads."""

    loads = True

    def __init__(self, function: partial[Any]) -> None:
        self.function = function
        self.folder = str(function.keywords.get(vars(function.func).get("from_run", "path"), ""))

    def __call__(self, network: Network) -> dict[str, Tensor]:
        return self.function(network)

    def provenance(self) -> Provenance:
        return read(Path(self.folder).expanduser()) if self.folder else Provenance(unknown=(self.function.func.__name__,))


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_checkpoint": ["checkpoint"],
        "_digit_net": ["digit_net"],
    },
)
