"""skada, whose losses and scores ours are compared with, and what is handed to both."""

import importlib
import warnings
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from toys.tasks import draw
from xlearn.metrics.measure import score
from xlearn.selection import Seen


def skada(module: str) -> Any:
    """A module of skada, whose deep ones need skorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("skorch" if module.startswith("deep") else "skada")
        return importlib.import_module(f"skada.{module}")


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return score("accuracy", logits, labels)


def certain(labels: Tensor, classes: int, by: float = 200.0) -> Tensor:
    return by * torch.nn.functional.one_hot(labels, classes).float()


def look(count: int = 60, classes: int = 3, seed: int = 0) -> Seen:
    """Features with a shift between the domains; the network is often right."""
    labels = torch.arange(count) % classes
    logits = certain(labels, classes, 2.0) + draw(count, classes, seed=seed)
    target = certain(labels, classes, 2.0) + draw(count, classes, seed=seed + 1)
    pseudo = target.argmax(1)
    return Seen(
        source_features=draw(count, 4, seed=seed + 2), source_logits=logits, source_labels=labels,
        training_features=draw(2 * count, 4, seed=seed + 3),
        target_features=draw(count, 4, seed=seed + 4) + 0.5, target_logits=target,
        target_val_logits=target, target_val_labels=labels,
        mixed_logits={"inter": target, "inter_labels": pseudo, "intra": target, "intra_labels": pseudo},
    )  # fmt: skip


class Says:
    """An estimator as skada asks one: its inputs are the logits of what it predicts."""

    module_ = SimpleNamespace(layer_name="features")

    def predict_proba(self, inputs: Any, **options: Any) -> Any:
        return torch.as_tensor(numpy.asarray(inputs, dtype=float)).softmax(1).numpy()

    def predict(self, inputs: Any, **options: Any) -> Any:
        return self.predict_proba(inputs).argmax(1)

    def predict_features(self, inputs: Any) -> Any:
        return inputs

    def score(self, inputs: Any, labels: Any, **options: Any) -> float:
        return float((self.predict(inputs) == labels).mean())

    def fit(self, *given: Any) -> "Says":
        return self


def by_skada(scorer: Any, source: Tensor, labels: Tensor, target: Tensor) -> float:
    inputs = torch.cat([source, target]).double().numpy()
    domain = numpy.array([1] * len(source) + [-2] * len(target))
    hidden = numpy.concatenate([labels.numpy(), numpy.full(len(target), -1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(scorer._score(None, Says(), inputs, hidden, sample_domain=domain))
