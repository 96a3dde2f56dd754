"""Schedules: in range, rising, and torch's cosine."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from xlearn.schedules._constant import constant
from xlearn.schedules._cosine import cosine
from xlearn.schedules._warmup import warmup


@settings(deadline=None)
@given(steps=some.integers(1, 500), share=some.floats(0, 1))
def test_schedules_stay_in_range_and_warm_up_rises(steps, share):
    for schedule in (constant, lambda s, n: cosine(s, n, warmup=share, floor=0.1), lambda s, n: warmup(s, n, share=share)):
        values = [schedule(step, steps) for step in range(steps)]
        assert all(0 < value <= 1 for value in values)
    rising = [warmup(step, steps, share=share) for step in range(steps)]
    assert rising == sorted(rising)


def test_cosine_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert cosine(step, 20) == pytest.approx(reference.get_last_lr()[0], abs=1e-6)
        optimizer.step()
        reference.step()
    assert cosine(10, 20, floor=0.2) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)
