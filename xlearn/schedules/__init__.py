"""Schedules: factors of the learning rate.

Called as `schedule(step, steps)`, with steps 0 to steps - 1.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_constant": ["constant"],
        "_cosine": ["cosine"],
        "_warmup": ["warmup"],
    },
)
