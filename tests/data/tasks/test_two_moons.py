"""Two moons: scikit-learn's points, and their rotation."""

import math

import numpy
import pytest
from sklearn.datasets import make_moons

from xlearn.data.tasks._two_moons import two_moons
from xlearn.runtime.errors import Problem


def test_without_an_angle_it_is_what_sklearn_makes():
    points, labels = make_moons(60, noise=0.2, random_state=3)
    found = two_moons(examples=60, noise=0.2, seed=3)
    numpy.testing.assert_allclose(found.inputs["tabular"].numpy(), points, rtol=1e-6)
    assert found.labels.tolist() == labels.tolist() and found.classes == ("upper", "lower")


def test_an_angle_turns_every_point_about_the_origin():
    plain, turned = (two_moons(examples=40, angle=angle).inputs["tabular"].double().numpy() for angle in (0.0, 35.0))
    for (x, y), found in zip(plain, turned, strict=True):
        length, direction = math.hypot(x, y), math.atan2(y, x) + math.radians(35)
        assert found == pytest.approx([length * math.cos(direction), length * math.sin(direction)], abs=1e-5)


def test_the_same_points_at_another_angle_are_known_as_the_same():
    one, same, other = (two_moons(angle=angle, seed=seed).origin["tabular"][0] for angle, seed in ((0, 0), (35, 0), (35, 1)))
    assert one == same != other


@pytest.mark.parametrize("values", [{"examples": 3}, {"noise": -0.1}])
def test_wrong_values_are_refused(values):
    [name] = values
    with pytest.raises(Problem, match=f"two_moons.{name}="):
        two_moons(**values)
