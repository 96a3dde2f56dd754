"""Averages of weights: what a phase returns. Called as `merge(initial, trained) -> weights`.

`initial` and `trained`: the network's parameters and buffers by name, when the phase began and those that it kept. With nothing
given it gives nothing, and raises `Problem` for arguments out of range: so it is tried before any training.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_interpolate": ["interpolate"],
    },
)
