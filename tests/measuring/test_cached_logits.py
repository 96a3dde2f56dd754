"""What runs are compared with is asked once, and never taken for another network's or other examples'."""

from dataclasses import replace

import torch
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import blobs_task

from xlearn.measuring import cached_logits as module
from xlearn.measuring.cached_logits import predictions
from xlearn.networks.evaluate import logits
from xlearn.networks.predictions import predict


def test_a_network_is_asked_once_and_again_when_anything_is_another(monkeypatch):
    given = blobs_task()
    network, asked = image_network(given.train), []
    monkeypatch.setattr(module, "_held", type(module._held)())
    monkeypatch.setattr(module, "predict", lambda *arguments: asked.append(1) or predict(*arguments))

    def found(examples):
        return predictions(network, examples, CPU).tensors["logits"]

    first = found(given.val)
    assert torch.equal(first, logits(network, given.val, CPU))
    assert found(given.val) is first and len(asked) == 1
    other = found(given.train)
    assert len(other) == len(given.train) and len(asked) == 2
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert not torch.equal(found(given.val), first) and len(asked) == 3
    # Which examples have a modality is no part of the address: those are asked each time.
    lacking = replace(given.val, present={"image": torch.ones(len(given.val), dtype=torch.bool)})
    found(lacking)
    found(lacking)
    assert len(asked) == 5
