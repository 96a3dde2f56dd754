"""Sine waves: the published law, functions that stay themselves, and numbers to predict as a part of the data."""

from dataclasses import replace
from functools import partial

import numpy
import pytest
import torch
from scipy.optimize import curve_fit
from scipy.stats import kstest

from xlearn.data.options import TaskOptions
from xlearn.data.task_source import TaskSource, raw
from xlearn.data.tasks._sinusoid import sinusoid
from xlearn.runtime.errors import Problem


def fitted(found, points):
    """Amplitude and phase of every function: least squares on `a sin x - b cos x`, which is linear."""
    x, y = found.inputs["tabular"].double().reshape(-1, points), found.labels[:, 1].double().reshape(-1, points)
    [a, b] = torch.linalg.lstsq(torch.stack([x.sin(), -x.cos()], 2), y[:, :, None]).solution[:, :, 0].T
    return torch.hypot(a, b).numpy(), torch.atan2(b, a).numpy()


def test_every_function_is_a_sine_of_its_own_points():
    found = sinusoid(functions=5, points=30)
    for x, y in zip(found.inputs["tabular"].reshape(5, 30).numpy(), found.labels[:, 1].reshape(5, 30).numpy(), strict=True):
        (amplitude, phase), _ = curve_fit(lambda place, a, p: a * numpy.sin(place - p), x, y, (2.5, 1.5))
        assert numpy.abs(amplitude * numpy.sin(x.astype(float) - phase) - y).max() < 1e-5


def test_amplitudes_phases_and_places_have_the_published_law():
    found = sinusoid(functions=2000, points=20)
    amplitude, phase = fitted(found, 20)
    # Kolmogorov and Smirnov's test of each uniform law; the draws are fixed.
    assert kstest(amplitude, "uniform", (0.1, 4.9)).pvalue > 0.05
    assert kstest(phase, "uniform", (0, numpy.pi)).pvalue > 0.05
    assert kstest(found.inputs["tabular"].flatten().numpy(), "uniform", (-5, 10)).pvalue > 0.05
    assert abs(numpy.corrcoef(amplitude, phase)[0, 1]) < 0.06


def test_shapes_types_and_names():
    found = sinusoid(functions=3, points=4, seed=7)
    assert found.inputs["tabular"].shape == (12, 1) and found.inputs["tabular"].dtype == torch.float32
    assert found.labels.shape == (12, 2) and found.labels.dtype == torch.float32
    assert found.labels[:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.classes == ("s7_f0000", "s7_f0001", "s7_f0002") and found.columns == ("x",) and found.space == "sinusoid"


def test_a_function_is_the_same_however_many_there_are_and_at_however_many_points():
    few, many, longer = sinusoid(functions=6), sinusoid(functions=50), sinusoid(functions=6, points=90)
    assert torch.equal(few.inputs["tabular"], many.inputs["tabular"][:240]) and torch.equal(few.labels, many.labels[:240])
    assert few.origin["tabular"][0] == many.origin["tabular"][0] == longer.origin["tabular"][0]
    assert torch.equal(few.origin["tabular"][1], many.origin["tabular"][1][:240])
    assert numpy.allclose(fitted(few, 40), fitted(longer, 90), atol=1e-4)
    assert not torch.equal(few.inputs["tabular"].reshape(6, 40), longer.inputs["tabular"].reshape(6, 90)[:, :40])


def test_another_seed_has_other_functions_under_other_names():
    first, again, second = (sinusoid(functions=20, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.labels, again.labels) and first.classes == again.classes
    assert not {*first.classes} & {*second.classes} and first.origin["tabular"][0] != second.origin["tabular"][0]
    assert numpy.abs(fitted(first, 40)[0] - fitted(second, 40)[0]).max() > 0.5


@pytest.mark.parametrize(("options", "told"), [({"functions": 1}, "sinusoid.functions=1: give 2"), ({"points": 1}, "points=1")])
def test_too_few_are_told(options, told):
    with pytest.raises(Problem, match=told):
        sinusoid(**options)


def loaded(data, name):
    return raw(TaskSource(name, "target", lambda: data, {}, TaskOptions()))


def test_numbers_to_predict_are_a_side_of_the_data():
    data = sinusoid(functions=3, points=4)
    with pytest.raises(Problem, match="waves has 11 labels and 12 rows of tabular, which do not match"):
        loaded(replace(data, labels=data.labels[:-1]), "waves")


def test_other_numbers_to_predict_are_other_data():
    data = sinusoid(functions=3, points=4)
    above = data.labels + torch.tensor([0.0, 1.0])
    given, same, other = (
        loaded(replace(data, labels=labels), f"waves {name}")[1]
        for name, labels in enumerate([data.labels, data.labels.clone(), above])
    )
    assert given == same != other


def test_a_task_of_functions_is_loaded_like_any_other():
    data, _ = raw(TaskSource("sinusoid", "target", partial(sinusoid, functions=4, points=5), {"functions": 4}, TaskOptions()))
    assert data.labels.shape == (20, 2) and data.strata.tolist() == torch.arange(4).repeat_interleave(5).tolist()
