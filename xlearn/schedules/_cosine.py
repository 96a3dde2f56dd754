"""Cosine decay with an optional warm-up."""

import math

from xlearn.schedules._warmup import warmup_factor


def cosine(step: int, steps: int, *, warmup: float = 0.0, floor: float = 0.0) -> float:
    """`floor + (1 - floor) (1 + cos(pi t)) / 2`, t = step / steps, times a linear warm-up over the share `warmup`.

    Loshchilov & Hutter, ICLR 2017, one cycle without restarts.
    """
    decay = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return decay * warmup_factor(step, steps, warmup)
