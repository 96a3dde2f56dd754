"""The parameters that a phase trains, and their rates. Called as `trainable(network)`; returns `{parameter name: Rate}`."""

from typing import NamedTuple

import lazy_loader as lazy


class Rate(NamedTuple):
    """`multiplier` of the learning rate, from the share `start` (0..1) of the phase's steps on. A parameter without `Rate` is
    frozen.
    """

    multiplier: float = 1.0
    start: float = 0.0


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_biases": ["biases"],
        "_frozen": ["frozen"],
        "_gradual": ["gradual"],
        "_head_and_backbone": ["head_and_backbone"],
        "_layer_decay": ["layer_decay"],
        "_norms": ["norms"],
        "_only": ["only"],
        "_surgical": ["surgical"],
    },
)
