"""Two moons: two interleaving half circles, rotated by an angle that is the shift between two domains."""

import math

import torch
from sklearn.datasets import make_moons

from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem


def two_moons(*, angle: float = 0.0, examples: int = 1000, noise: float = 0.1, seed: int = 0) -> Raw:
    """scikit-learn's `make_moons` with Gaussian noise of this standard deviation, rotated about the origin by `angle` degrees
    against the clock (the shift of Germain et al., ICML 2013, and Ganin et al., JMLR 2016, section 5.1.1: 35 degrees).

    Inputs float32 `[examples, 2]`, the columns `x` and `y`; classes `upper` and `lower`, half of the examples each. Another
    `seed` draws other points: give source and target different ones, or they are the same points, rotated.
    Raises `Problem` for fewer than 4 examples and for noise below 0.
    """
    if examples < 4:
        raise Problem(f"two_moons.examples={examples}: give 4 or more, e.g. 1000.")
    if noise < 0:
        raise Problem(f"two_moons.noise={noise}: a standard deviation. Give 0 or more, e.g. 0.1.")
    points, labels = make_moons(examples, noise=noise, random_state=seed)
    turn = math.radians(angle)
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    turned = (torch.from_numpy(points) @ rotation.T).float()
    # The points before their rotation are the origin, so that no source has the target's test points at another angle.
    origin = {"tabular": (f"two_moons {examples} {noise} {seed}", torch.arange(examples))}
    classes = ("upper", "lower")
    return Raw({"tabular": turned}, torch.from_numpy(labels).long(), classes, "two_moons", columns=("x", "y"), origin=origin)
