"""What the tests of statistical alignment share."""

import importlib
import warnings
from typing import Any

import pytest
import torch
from adaptation_toys import batch_of, begin
from torch import Tensor

from xlearn.objectives.adaptation.afn import Afn
from xlearn.objectives.adaptation.coral import Coral
from xlearn.objectives.adaptation.deepjdot import DeepJdot
from xlearn.objectives.adaptation.jan import Jan
from xlearn.objectives.adaptation.mcc import Mcc
from xlearn.objectives.adaptation.mmd import Mmd

EVERY: list[Any] = [Coral, Mmd, Jan, Afn, DeepJdot, Mcc]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def skada_losses() -> Any:
    """skada's module of losses, which needs skorch."""
    pytest.importorskip("skorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("skada.deep.losses")


def loss_of(kind: Any, **options: Any) -> tuple[Tensor, Any, Any]:
    context, network = begin()
    [loss] = kind(context, **options)(network, batch_of(context)).values()
    return loss, context, network
