"""Metrics of a classifier, from its logits on a split, or from what they need of each example's logits."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.metrics.kept import CONFUSION_MATRIX, PER_CLASS

# Numbers of logits that are looked at at once: 8 MB in double precision stay in the processor's cache.
BLOCK = 2**20


def reduced(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What the metrics need of logits `[n, classes]` and labels `int64 [n]`, each `[n]`: the `predicted` class, its probability
    (`confidence`, float64) and the `log_probability` of the label (float64).
    """
    if len(logits) > 1 and logits.stride(0) == 0:  # one row for all examples, as a floor has
        [predicted], [confidence] = logits[:1].argmax(1), _confidence(logits[:1])
        log_probability = logits[0].double().log_softmax(0)[labels]
        return {
            "predicted": predicted.repeat(len(labels)), "confidence": confidence.repeat(len(labels)),
            "log_probability": log_probability,
        }  # fmt: skip
    rows = max(1, BLOCK // logits.shape[1])
    parts = [
        # `max` is `argmax` in half the time.
        (each.max(1).indices, _confidence(each), each.double().log_softmax(1).gather(1, own[:, None])[:, 0])
        for each, own in zip(logits.split(rows), labels.split(rows), strict=True)
    ]
    names = ("predicted", "confidence", "log_probability")
    return {name: torch.cat(each) for name, each in zip(names, zip(*parts, strict=True), strict=True)}


def _confidence(logits: Tensor) -> Tensor:
    return logits.softmax(1).amax(1).double()


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """Expected calibration error, `sum_b n_b / n |accuracy_b - confidence_b|` over equal bins of the top probability.

    Guo et al., ICML 2017, eq. 3. `confidence float64 [n]`, `correct bool [n]`.
    """
    # Bins are closed above, (b / bins, (b + 1) / bins], as in the paper.
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(0, index, correct.double() - confidence)
    return float(gap.abs().sum() / len(confidence))


def score(name: str, logits: Tensor, labels: Tensor) -> float:
    """One metric by name, for selection while training. `logits [n, classes]`, `labels int64 [n]`, n > 0."""
    if name == "nll":
        return float(functional.cross_entropy(logits.double(), labels))
    if name == "calibration_error":
        return calibration_error(_confidence(logits), logits.argmax(1) == labels)
    return _rates(logits.argmax(1), labels, logits.shape[1])[name]


def _counts(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, Tensor]:
    """Per class `precision`, `recall` and `f1` (float64, an empty ratio is 0) and the number of `examples` (int64)."""
    examples = torch.bincount(labels, minlength=classes)
    guesses = torch.bincount(predicted, minlength=classes)
    right = torch.bincount(labels[predicted == labels], minlength=classes).double()

    def ratio(share: Tensor, of: Tensor) -> Tensor:
        return torch.where(of > 0, share / of.clamp_min(1), 0.0)

    f1 = ratio(2 * right, examples + guesses)
    return {"precision": ratio(right, guesses), "recall": ratio(right, examples), "f1": f1, "examples": examples}


def _rates(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """The metrics that follow from predicted classes."""
    counted = _counts(predicted, labels, classes)
    occurring = counted["recall"][counted["examples"] > 0]
    among = (counted["examples"] > 0) | (torch.bincount(predicted, minlength=classes) > 0)
    return {
        "accuracy": float((predicted == labels).double().mean()),
        "balanced_accuracy": float(occurring.numpy().mean()),
        "worst_class": float(occurring.min()),
        **{f"macro_{name}": float(counted[name][among].numpy().mean()) for name in ("precision", "recall", "f1")},
    }


def measure(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Every metric of `logits [n, classes]`, as `measure_reduced`."""
    return measure_reduced(reduced(logits, labels), labels, classes)


def measure_reduced(given: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Every metric, from `reduced`. Of few classes (see `xlearn.metrics.kept`) also the numbers per class, and the confusion
    matrix (rows: true, columns: predicted).

    Macro averages run over the classes that occur or are predicted, as scikit-learn's without `labels`; balanced accuracy over
    those that occur, as scikit-learn's. Both count an empty ratio as 0. A class without examples that is predicted by mistake
    lowers the macro averages.
    `worst_class` is the lowest recall of a class that occurs.
    """
    predicted, count = given["predicted"], len(classes)
    found: dict[str, Any] = {
        **_rates(predicted, labels, count),
        # The mean of the losses, summed up as cross-entropy does.
        "nll": float(functional.nll_loss(given["log_probability"][:, None], torch.zeros_like(labels))),
        "calibration_error": calibration_error(given["confidence"], predicted == labels),
    }
    if count <= PER_CLASS:
        columns = {name: each.tolist() for name, each in _counts(predicted, labels, count).items()}
        rows = zip(*columns.values(), strict=True)
        found["per_class"] = {name: dict(zip(columns, row, strict=True)) for name, row in zip(classes, rows, strict=True)}
    if count <= CONFUSION_MATRIX:
        pairs = torch.bincount(labels * count + predicted, minlength=count * count)
        found["confusion_matrix"] = pairs.reshape(count, count).tolist()
    return found


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that are single numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, float)}
