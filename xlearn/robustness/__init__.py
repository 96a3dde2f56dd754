"""Robustness: corruptions of test inputs. Called as `spoil(examples, level, generator)`; returns `Examples`.

Each has the keywords `modality`, and `levels`, at which the run's metric is measured.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import lazy_loader as lazy

from xlearn.data.task import Examples

Function = TypeVar("Function", bound=Callable[..., Any])


def levels_in(of: Callable[[Examples, str], str]) -> Callable[[Function], Function]:
    """A decorator that declares the unit of the levels, of (examples, modality)."""

    def declared(function: Function) -> Function:
        vars(function)["unit"] = of
        return function

    return declared


def unit(spoil: partial[Any], examples: Examples, modality: str) -> dict[str, str]:
    """`{"unit": ...}` of the levels, where they have one."""
    of = vars(spoil.func).get("unit")
    return {} if of is None else {"unit": of(examples, modality)}


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_missing": ["missing"],
        "_noise": ["noise"],
    },
)
