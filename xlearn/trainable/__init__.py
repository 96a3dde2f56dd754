"""Which parameters a phase trains and at which rate. Called as `trainable(network)`, gives `{parameter name: Rate}`."""

from typing import NamedTuple


class Rate(NamedTuple):
    """`multiplier` of the learning rate, from the share `start` (0..1) of the phase's steps on. Unnamed: frozen."""

    multiplier: float = 1.0
    start: float = 0.0
