"""Deferred weights: plain first, then weighted, and going on where it was saved."""

import pytest
import torch
from toys.contexts import fixed_context, fixed_loss

from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.deferred import Deferred
from xlearn.runtime.errors import Problem


def test_deferred_is_plain_and_then_weighted():
    plain, weighted = (
        fixed_loss(CrossEntropy(fixed_context())),
        fixed_loss(CrossEntropy(fixed_context(), class_weights="effective")),
    )
    assert not torch.isclose(plain, weighted)
    objective = Deferred(fixed_context(steps=5), after=0.6)
    found = []
    for _ in range(5):
        fixed_loss(objective)  # a look is no step
        found.append(fixed_loss(objective).item())
        objective.follow(objective)
    assert found == [plain.item()] * 3 + [weighted.item()] * 2
    assert not list(objective.parameters())


@pytest.mark.parametrize("done", [1, 4])
def test_deferred_goes_on_where_it_was_saved(done):
    first, second = Deferred(fixed_context(steps=5), after=0.6), Deferred(fixed_context(steps=5), after=0.6)
    for _ in range(done):
        first.follow(first)
    second.load_state_dict(first.state_dict())
    for _ in range(5 - done):
        assert fixed_loss(first).item() == fixed_loss(second).item()
        first.follow(first)
        second.follow(second)


def test_deferred_may_never_weigh():
    objective = Deferred(fixed_context(steps=2), after=1.0)
    objective.follow(objective)
    assert fixed_loss(objective).item() == fixed_loss(CrossEntropy(fixed_context())).item()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"after": 1.1}, r"objective.after=1.1: give a share of the phase's steps in \[0, 1\]"),
        ({"beta": 1.0}, "objective.beta=1.0: give 0 .* and less than 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(Problem, match=words):
        Deferred(fixed_context(), **options)
