"""The names of the metrics, and which way is up. Apart, so that a table can be made without torch."""

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
