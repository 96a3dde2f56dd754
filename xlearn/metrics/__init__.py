"""Metrics from logits and labels. Their names and directions are in `xlearn.runtime.names`, which needs no torch."""
