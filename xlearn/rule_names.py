"""The rules of selection by name. Imports nothing heavy."""

RULES = ("last", "source_val", "importance_weighted", "dev", "entropy", "infomax", "snd", "mixval", "oracle")
# They read no label of the target. `importance_weighted` and `dev` need those of the sources' validation split.
LABEL_FREE = ("importance_weighted", "dev", "entropy", "infomax", "snd", "mixval")
