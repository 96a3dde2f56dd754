"""Weights between the beginning of a phase and its end."""

from functools import partial

import pytest
import torch
from toys.networks import image_network
from toys.phases import phase, solve
from toys.tasks import blobs_task

from xlearn.averaging._interpolate import interpolate
from xlearn.networks.network import tensors
from xlearn.phases import feasible
from xlearn.runtime.errors import Problem


def test_interpolation():
    before = {"w": torch.tensor([0.0, 1.0]), "count": torch.tensor(2)}
    kept = {"w": torch.tensor([4.0, -1.0]), "count": torch.tensor(7)}
    found = interpolate(before, kept, alpha=0.25)
    assert found["w"].tolist() == [1.0, 0.5] and found["count"] == 7
    odd = {name: {"w": torch.randn(1000, generator=torch.Generator().manual_seed(seed))} for seed, name in enumerate("ab")}
    assert torch.equal(interpolate(odd["a"], odd["b"], alpha=0.0)["w"], odd["a"]["w"])
    assert torch.equal(interpolate(odd["a"], odd["b"], alpha=1.0)["w"], odd["b"]["w"])
    assert interpolate({}, {}, alpha=0.5) == {}
    for alpha in (-0.1, 1.5):
        with pytest.raises(Problem, match=f"merge.alpha={alpha}: give a share in"):
            interpolate({}, {}, alpha=alpha)


def test_a_phase_leaves_what_is_between_its_ends(tmp_path):
    before = tensors(image_network(blobs_task().train))
    after = tensors(solve(tmp_path, phase())[0])
    for alpha in (0.0, 0.5, 1.0):
        left = tensors(solve(tmp_path, phase(merge=partial(interpolate, alpha=alpha)))[0])
        for name, value in left.items():
            torch.testing.assert_close(value, (1 - alpha) * before[name] + alpha * after[name])
        if alpha != 0.5:
            assert all(torch.equal(left[name], (before, after)[int(alpha)][name]) for name in left)


def test_a_wrong_share_is_refused_before_training():
    network, roles = image_network(blobs_task().train), {"source": {}, "target": {"target": blobs_task()}}
    with pytest.raises(Problem, match=r"merge.alpha=2: give a share in \[0, 1\]"):
        feasible.check(phase(merge=partial(interpolate, alpha=2)), network, roles)
