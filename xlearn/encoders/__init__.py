"""Encoders: one modality to tokens. Built as `encoder(spec)`; `width` is the size of a token."""

from collections.abc import Sequence

from xlearn.errors import Problem


def need_sizes(widths: Sequence[int], dropout: float, modality: str = "image", key: str = "widths") -> None:
    """Raise where layers would be empty, or dropout is no probability."""
    if not widths or min(widths) < 1:
        raise Problem(f"encoder.{modality}: {key}={list(widths)} are no sizes of layers. Give at least one, each 1 or more.")
    if not 0 <= dropout < 1:
        raise Problem(f"encoder.{modality}.dropout={dropout}: give a share in [0, 1).")
