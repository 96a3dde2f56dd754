"""Metrics of a classifier, from its logits on a split. The counting is scikit-learn's."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error, `sum_b n_b / n |accuracy_b - confidence_b|` over equal bins of the top probability.

    Guo et al., ICML 2017, eq. 3. `probabilities [n, classes]`, `labels int64 [n]`.
    """
    confidence, predicted = probabilities.double().max(1)
    correct = (predicted == labels).double()
    # Bins are closed above, (b / bins, (b + 1) / bins], as in the paper.
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(0, index, correct - confidence)
    return float(gap.abs().sum() / len(labels))


def score(name: str, logits: Tensor, labels: Tensor) -> float:
    """One metric by name, for selection while training. `logits [n, classes]`, `labels int64 [n]`, n > 0."""
    if name == "nll":
        return float(functional.cross_entropy(logits.double(), labels))
    if name == "calibration_error":
        return calibration_error(logits.softmax(1), labels)
    if name == "worst_class":
        right = logits.argmax(1) == labels
        return min(float(right[labels == label].double().mean()) for label in labels.unique())
    options = {} if name in ("accuracy", "balanced_accuracy") else {"labels": list(range(logits.shape[1]))}
    return _SCORES[name](labels.numpy(), logits.argmax(1).numpy(), **options)


def _sklearn(name: str, **options: Any) -> Callable[..., float]:
    def call(true: Any, predicted: Any, **more: Any) -> float:
        # Imported late: it takes two seconds, and commands that train nothing need not wait for it.
        from sklearn import metrics

        with warnings.catch_warnings():
            # A prediction outside the classes of the labels is a mistake to count, not to warn of.
            warnings.simplefilter("ignore")
            return float(getattr(metrics, name)(true, predicted, **options, **more))

    return call


_SCORES = {
    "accuracy": _sklearn("accuracy_score"),
    "balanced_accuracy": _sklearn("balanced_accuracy_score"),
    "macro_precision": _sklearn("precision_score", average="macro", zero_division=0),
    "macro_recall": _sklearn("recall_score", average="macro", zero_division=0),
    "macro_f1": _sklearn("f1_score", average="macro", zero_division=0),
}


def measure(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Every metric, per class and the confusion matrix (rows: true, columns: predicted).

    Macro averages run over all classes, balanced accuracy over those that occur; both count an empty ratio as 0.
    `worst_class` is the lowest recall of a class that occurs.
    """
    from sklearn import metrics

    predicted = logits.argmax(1)
    every = list(range(len(classes)))
    counted = metrics.precision_recall_fscore_support(labels.numpy(), predicted.numpy(), labels=every, zero_division=0)
    precision, recall, f1, support = (numpy.asarray(each) for each in counted)
    confusion = metrics.confusion_matrix(labels.numpy(), predicted.numpy(), labels=every)
    return {
        "accuracy": float((predicted == labels).double().mean()),
        "balanced_accuracy": score("balanced_accuracy", logits, labels),
        "worst_class": score("worst_class", logits, labels),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "nll": score("nll", logits, labels),
        "calibration_error": score("calibration_error", logits, labels),
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "examples": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion_matrix": confusion.tolist(),
    }


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that are single numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, float)}
