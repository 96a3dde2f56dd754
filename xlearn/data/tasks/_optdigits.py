"""UCI optical digits, from scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

from xlearn.data.tasks import Raw


def optdigits() -> Raw:
    """1,797 images, 1 x 8 x 8, grey values 0..16 scaled to 0..255 (Alpaydin & Kaynak, 1998). No official test split.

    Read from scikit-learn's own file, because importing `sklearn.datasets` takes seconds.
    """
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    table = numpy.loadtxt(Path(spec.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    grey = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 8, 8)
    images = (grey * (255 / 16)).round().to(torch.uint8)
    labels = torch.from_numpy(table[:, -1]).long()
    return Raw(
        {"image": images}, labels, tuple("0123456789"), "digits", origin={"image": ("optdigits", torch.arange(len(labels)))}
    )
