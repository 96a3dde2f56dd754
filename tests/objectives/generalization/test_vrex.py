"""V-REx: the variance of the risks."""

import numpy
import pytest
from toys.contexts import batch_of, environment_context, losses_of

from xlearn.objectives.generalization.vrex import Vrex


def test_vrex_is_the_variance_of_the_risks():
    context, net = environment_context()
    given = batch_of(context, 12)
    found = Vrex(context, weight=3.0, anneal=0)(net, given)["vrex"]
    assert found.item() == pytest.approx(3 * numpy.var(losses_of(net, given)), rel=1e-4)
    found.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    same = dict.fromkeys(given, given["e0"])
    assert Vrex(context, anneal=0)(net, same)["vrex"].item() == pytest.approx(0, abs=1e-10)  # equally well learned
