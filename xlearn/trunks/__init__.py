"""Trunks: what stands between fusion and heads, `[batch, width]` to features. Built as `trunk(width)`; has a `width`."""
