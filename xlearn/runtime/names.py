"""The names of the metrics, with their direction, and of the rules of selection. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

# By name whether higher is better: the metrics of xlearn's own label spaces. A result names those of its label space.
OF_CLASSES = {
    "accuracy": True,
    "balanced_accuracy": True,
    "worst_class": True,
    "macro_precision": True,
    "macro_recall": True,
    "macro_f1": True,
    "nll": False,
    "calibration_error": False,
}
OF_NUMBERS = {"mse": False}
HIGHER_IS_BETTER = {**OF_CLASSES, **OF_NUMBERS}


def directions(result: Mapping[str, Any] | None) -> dict[str, bool]:
    """By metric whether higher is better: of the label space of a result, and of xlearn's own label spaces."""
    own = ((result or {}).get("label_space") or {}).get("higher_is_better") or {}
    return {**HIGHER_IS_BETTER, **own}


RULES = ("last", "source_val", "importance_weighted", "dev", "entropy", "infomax", "snd", "mixval", "oracle")
# They read no label of the target. `importance_weighted` and `dev` need those of the sources' validation split.
LABEL_FREE = ("importance_weighted", "dev", "entropy", "infomax", "snd", "mixval")
