"""Normalisations alone: of every kind, and where there are none."""

import pytest
import torch
from torch import nn
from toys.modalities import target_alone
from toys.networks import below_head, normalised_network
from toys.tasks import blobs_task

from xlearn.runtime.errors import Problem
from xlearn.trainable._norms import norms


class OwnNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8))


def test_norms():
    network = normalised_network(blobs_task().train)
    network.encoder["image"].blocks[1].extend([nn.GroupNorm(2, 8), nn.InstanceNorm1d(8), OwnNorm()])  # the middle one has none
    assert below_head(norms(network)) == {
        "encoder.image.blocks.0.3.weight", "encoder.image.blocks.0.3.bias", "encoder.image.blocks.1.3.weight",
        "encoder.image.blocks.1.3.bias", "encoder.image.blocks.1.5.gain",
    }  # fmt: skip
    network = target_alone("transformer")[0]
    layers = {name for name, each in network.named_modules() if isinstance(each, nn.LayerNorm)}
    assert layers and below_head(norms(network)) == {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    with pytest.raises(Problem, match="resnet18 or efficientnet_lite0, .*encoder/text=transformer or minilm"):
        norms(target_alone("mlp")[0])
