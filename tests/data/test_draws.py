"""The step of a drawn task among its own, against a plain count."""

import pytest
import torch
from toys.tasks import random_images

from xlearn.data import batches as module
from xlearn.data.batches import Batches
from xlearn.runtime.hashing import derive


@pytest.mark.parametrize("tasks", ["proportional", "equal"])
def test_the_step_of_a_drawn_task_is_the_number_of_its_earlier_draws(tasks, monkeypatch):
    monkeypatch.setattr(module, "DRAWN", 16)
    given = {"a": random_images(40), "b": random_images(20), "target": random_images(10)}
    shares = torch.tensor([4.0, 2.0, 1.0] if tasks == "proportional" else [1.0, 1.0, 1.0])
    drawn = []
    for block in range(7):
        generator = torch.Generator().manual_seed(derive(3, "tasks", 16 * block))
        drawn += torch.multinomial(shares, 16, replacement=True, generator=generator).tolist()
    expected = [([*given][role], drawn[:step].count(role)) for step, role in enumerate(drawn)]
    made = [Batches(given, batch_size=8, seed=3, tasks=tasks) for _ in range(2)]
    steps = list(range(len(expected)))
    assert [made[0]._drawn(step) for step in steps] == expected
    # A resumed training begins at any step.
    jumping = [80, 3, 111, 16, 15, 0, 47]
    assert [made[1]._drawn(step) for step in jumping] == [expected[step] for step in jumping]
