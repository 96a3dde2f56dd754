"""Pseudo-labels by confident predictions, or by the nearest centroid."""

import torch
from torch import Tensor
from torch.nn import functional


def confident(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The most probable class, `int64 [n]`, and whether its probability is at least `threshold`, `bool [n]`; no gradient."""
    highest, labels = logits.detach().float().softmax(1).max(1)
    return labels, highest >= threshold


@torch.no_grad()
def by_centroids(features: Tensor, probabilities: Tensor, rounds: int = 1, members: int = 1) -> Tensor:
    """The class of the nearest centroid by cosine distance, `int64 [n]` (SHOT: Liang et al., ICML 2020, eq. 4-6).

    `features [n, width]` get a constant 1 appended and are scaled to unit length, as in the authors' code. The first centroids
    are `c_k = sum_i p_ik f_i / sum_i p_ik` with `probabilities p [n, classes]`; then, `rounds` times, `c_k` is the mean of the
    features with label k. A class with fewer than `members` predicted examples gets no label (the authors' code for objects,
    with its threshold 0, is `members=1`; their code for digits, which keeps all classes, is `members=0`). A class without
    examples in a round gets no label either; the distances to its zero centroid would be NaN.
    """
    with torch.autocast(features.device.type, enabled=False):
        features, probabilities = features.float(), probabilities.float()
        points = functional.normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)
        classes = probabilities.shape[1]
        there = torch.bincount(probabilities.argmax(1), minlength=classes) >= members
        labels = _nearest(points, probabilities, there)
        for _ in range(rounds):
            labels = _nearest(points, functional.one_hot(labels, classes).float(), there)
        return labels


def _nearest(points: Tensor, weights: Tensor, there: Tensor) -> Tensor:
    """The nearest centroid, `int64 [n]`, among classes in `there` with positive weight; centroids are weighted means."""
    total = weights.sum(0)
    centroids = (weights / total.clamp_min(torch.finfo(total.dtype).tiny)).T @ points
    cosines = points @ functional.normalize(centroids, dim=1).T
    return cosines.masked_fill(~(there & (total > 0)), -torch.inf).argmax(1)


def missing(labels: Tensor, classes: int) -> Tensor:
    """Which classes are the label of no example, `bool [classes]`."""
    return torch.bincount(labels, minlength=classes) == 0
