"""Fusions: `{modality: tokens}` to features `[batch, width]`. Built as `fusion(widths)`; the order of keys is no matter."""
