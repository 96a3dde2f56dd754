"""Weight averaging: the weights that a phase returns. Called as `merge(initial, trained) -> weights`.

`initial` and `trained`: the network's parameters and buffers by name, at the start of the phase and as it selected them. A call
with empty mappings returns an empty mapping, and raises `Problem` for arguments out of range: this checks it before training.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_interpolate": ["interpolate"],
    },
)
