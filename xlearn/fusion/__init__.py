"""Fusions: `{modality: tokens}` to features `[batch, width]`. Built as `fusion(widths)`; the order of keys is no matter."""

from collections.abc import Iterable

from xlearn.errors import Problem, Problems, nearest


def need_sizes(dropout: float = 0.0, **sizes: int | None) -> None:
    """Raise `Problems` for sizes below 1 (null is left to the fusion) and a dropout outside [0, 1)."""
    problems = [f"fusion.{name}={size}: give 1 or more." for name, size in sizes.items() if size is not None and size < 1]
    if not 0 <= dropout < 1:
        problems.append(f"fusion.dropout={dropout}: give a share of 0 or more and below 1, e.g. 0.1.")
    if problems:
        raise Problems(problems)


def need_heads(heads: int, width: int) -> None:
    """Raise `Problem` where attention cannot give every head the same part of `width`."""
    if width % heads:
        divisors = ", ".join(str(each) for each in range(1, width + 1) if width % each == 0)
        raise Problem(f"fusion.heads={heads}: width {width} is no multiple of it. Give one of {divisors}, or another width.")


def chosen(key: str, name: str | None, modalities: Iterable[str]) -> str:
    """The modality `name`, or the alphabetically first one for null. Raises `Problem` for one that is not there."""
    known = sorted(modalities)
    if name is not None and name not in known:
        raise Problem(f"fusion.{key}={name}: no such modality here. {nearest(name, known)} null is {known[0]}.")
    return known[0] if name is None else name
