"""L1: by hand."""

import pytest
from toys.networks import Fixed

from xlearn.objectives.regularization.l1 import l1


def test_l1_by_hand():
    assert l1(Fixed([[1.0, -2.0], [3.0, 0.0]]), {}, strength=0.1)["l1"].item() == pytest.approx(0.6)
