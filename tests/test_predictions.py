"""What runs are compared with is asked once, and never taken for another network's or other examples'."""

from dataclasses import replace

import torch
import toys
from solving import task

from xlearn.networks.evaluate import logits
from xlearn.results import baseline_logits as module
from xlearn.results.baseline_logits import predictions


def test_a_network_is_asked_once_and_again_when_anything_is_another(monkeypatch):
    given = task()
    network, asked = toys.network(given.train), []
    monkeypatch.setattr(module, "_held", type(module._held)())
    monkeypatch.setattr(module, "logits", lambda *arguments: asked.append(1) or logits(*arguments))
    first = predictions(network, given.val, toys.CPU)
    assert torch.equal(first, logits(network, given.val, toys.CPU))
    assert predictions(network, given.val, toys.CPU) is first and len(asked) == 1
    other = predictions(network, given.train, toys.CPU)
    assert len(other) == len(given.train) and len(asked) == 2
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert not torch.equal(predictions(network, given.val, toys.CPU), first) and len(asked) == 3
    # Which examples have a modality is no part of the address: those are asked each time.
    lacking = replace(given.val, present={"image": torch.ones(len(given.val), dtype=torch.bool)})
    predictions(network, lacking, toys.CPU)
    predictions(network, lacking, toys.CPU)
    assert len(asked) == 5
