"""Metrics from logits and labels. Their names and directions stand in `xlearn.runtime.names`, which needs no torch."""
