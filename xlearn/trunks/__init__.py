"""Trunks: layers between fusion and heads, `[batch, width]` to features. Built as `trunk(width)`; has a `width`."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "mlp": ["MlpTrunk"],
        "none": ["NoTrunk"],
    },
)
