"""The names of the metrics, with their direction, and of the rules of selection. Imports nothing heavy."""

HIGHER_IS_BETTER = {
    "accuracy": True,
    "balanced_accuracy": True,
    "worst_class": True,
    "macro_precision": True,
    "macro_recall": True,
    "macro_f1": True,
    "nll": False,
    "calibration_error": False,
    "mse": False,
}

RULES = ("last", "source_val", "importance_weighted", "dev", "entropy", "infomax", "snd", "mixval", "oracle")
# They read no label of the target. `importance_weighted` and `dev` need those of the sources' validation split.
LABEL_FREE = ("importance_weighted", "dev", "entropy", "infomax", "snd", "mixval")
