"""Checks of layer sizes, made when components are built, before any data are read."""

from collections.abc import Sequence

from xlearn.runtime.errors import Problem, Problems


def need_sizes(where: str, dropout: float = 0.0, **sizes: int | None) -> None:
    """Raise `Problems` for sizes below 1 (null is left to the component) and a dropout outside [0, 1).

    `where` is the component's place in the configuration, such as `fusion` or `encoder.text`.
    """
    problems = [f"{where}.{name}={size}: give 1 or more." for name, size in sizes.items() if size is not None and size < 1]
    if not 0 <= dropout < 1:
        problems.append(f"{where}.dropout={dropout}: give a share of 0 or more and below 1, e.g. 0.1.")
    if problems:
        raise Problems(problems)


def need_normalised(where: str, what: str, count: int) -> None:
    """Raise `Problem` for a layer normalisation over a single number, which is 0 whatever the input."""
    if count == 1:
        raise Problem(f"{where}: {what} is a layer normalisation over 1 number, which leaves nothing of it. Give 2 or more.")


def need_layers(where: str, key: str, sizes: Sequence[int], dropout: float = 0.0) -> None:
    """Raise `Problem` for an empty list of layer sizes, a size below 1, and a dropout outside [0, 1)."""
    if not sizes or min(sizes) < 1:
        raise Problem(f"{where}: {key}={list(sizes)} are no sizes of layers. Give at least one, each 1 or more.")
    need_sizes(where, dropout)


def need_heads(where: str, heads: int, width: int) -> None:
    """Raise `Problem` if `width` is not divisible by the number of attention heads."""
    if width % heads:
        divisors = ", ".join(str(each) for each in range(1, width + 1) if width % each == 0)
        raise Problem(f"{where}.heads={heads}: width {width} is not divisible by it. Give one of {divisors}, or another width.")
