"""Where pseudo-labels come from: confident predictions, or the nearest centroid."""

import torch
from torch import Tensor
from torch.nn import functional


def confident(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """`(labels int64 [n], mask bool [n])`: the class of the highest probability, and whether that is `threshold` or more.
    Without a gradient.
    """
    highest, labels = logits.detach().float().softmax(1).max(1)
    return labels, highest >= threshold


@torch.no_grad()
def by_centroids(features: Tensor, probabilities: Tensor, rounds: int = 1, members: int = 1) -> Tensor:
    """`int64 [n]`: the class whose centroid is nearest by cosine distance (SHOT: Liang et al., ICML 2020, eq. 4-6).

    `features [n, width]` get a constant 1 appended and are scaled to unit length, as in the authors' code. The first centroids
    are `c_k = sum_i p_ik f_i / sum_i p_ik` with `probabilities p [n, classes]`; then, `rounds` times, `c_k` is the mean of the
    features that are labelled k. A class that fewer than `members` examples are predicted to have gets no label (the authors'
    code for objects with its threshold 0 is `members=1`, the one for digits, which keeps all classes, `members=0`). A class
    that has no example left in a round gets none either; the distances to its centroid, zero, would be NaN.
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
    """`int64 [n]`: the nearest centroid of the classes that are there and have weight, each the weighted mean of the points."""
    total = weights.sum(0)
    centroids = (weights / total.clamp_min(torch.finfo(total.dtype).tiny)).T @ points
    cosines = points @ functional.normalize(centroids, dim=1).T
    return cosines.masked_fill(~(there & (total > 0)), -torch.inf).argmax(1)


def missing(labels: Tensor, classes: int) -> Tensor:
    """`bool [classes]`: which classes no example is labelled with."""
    return torch.bincount(labels, minlength=classes) == 0
