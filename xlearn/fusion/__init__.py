"""Fusions: `{modality: tokens}` to features `[batch, width]`. Built as `fusion(widths)`; the order of keys does not matter."""

from collections.abc import Iterable

import lazy_loader as lazy

from xlearn.runtime.errors import Problem, nearest


def chosen(key: str, name: str | None, modalities: Iterable[str]) -> str:
    """The modality `name`, or the alphabetically first one for null. Raises `Problem` for an unknown one."""
    known = sorted(modalities)
    if name is not None and name not in known:
        raise Problem(f"fusion.{key}={name}: no such modality here. {nearest(name, known)} null is {known[0]}.")
    return known[0] if name is None else name


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attention": ["Attention"],
        "bilinear": ["Bilinear"],
        "bottleneck": ["Bottleneck"],
        "concat": ["Concat"],
        "cross_attention": ["CrossAttention"],
        "film": ["Film"],
        "gated": ["Gated"],
        "late": ["Late"],
        "low_rank": ["LowRank"],
        "mean": ["Mean"],
        "mlp": ["Mlp"],
        "sum": ["Sum"],
        "tensor": ["TensorProduct"],
        "tile": ["Tile"],
    },
)
