"""Initial weights without training. Called as `start(network)`; returns the tensors to load, `{name: tensor}`."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_checkpoint": ["checkpoint"],
        "_digit_net": ["digit_net"],
    },
)
