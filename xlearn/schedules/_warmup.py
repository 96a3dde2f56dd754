"""Linear warm-up of the learning rate."""


def warmup_factor(step: int, steps: int, share: float) -> float:
    """Rises linearly to 1 over the first `share` of the steps: `(step + 1) / (share * steps)`, at most 1."""
    return min(1.0, (step + 1) / (share * steps)) if share > 0 else 1.0


def warmup(step: int, steps: int, *, share: float) -> float:
    """Linear warm-up over the first `share` of the steps, then constant."""
    return warmup_factor(step, steps, share)
