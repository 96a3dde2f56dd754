"""Cross-modal retrieval: the recall of the paired example among the nearest candidates of another modality."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Examples
from xlearn.networks.evaluate import features
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine

RANKS = (1, 5, 10)


def retrieval(network: Network, examples: Examples, machine: Machine) -> dict[str, dict[str, float]]:
    """`{"image->text": {"recall@1": ..., "recall@5", "recall@10", "chance@10", "items"}}`, for each pair and direction.

    Queries and candidates are unimodal features, compared by cosine similarity, over the examples that have both modalities.
    Recall@k is the share of queries with their pair at rank k or better.
    """
    found: dict[str, dict[str, float]] = {}
    for first, second in itertools.combinations(sorted(examples.inputs), 2):
        both = torch.ones(len(examples), dtype=torch.bool)
        for name in (first, second):
            both &= examples.present.get(name, both)
        pairs = examples.subset(both.nonzero().flatten())
        if len(pairs) == 0:
            continue
        one, other = (functional.normalize(features(network, pairs.only(name), machine), dim=1) for name in (first, second))
        similarity = one @ other.T
        found[f"{first}->{second}"] = recall(similarity)
        found[f"{second}->{first}"] = recall(similarity.T)
    return found


def recall(similarity: Tensor) -> dict[str, float]:
    """Recall of the diagonal of `similarity [queries, candidates]`. Ties count by their expectation under a random order, so a
    constant embedding is at chance, `k / n`.
    """
    if not bool(similarity.isfinite().all()):
        raise Problem("retrieval: some embeddings are not finite. Lower optimizer.lr (try a tenth).")
    count = len(similarity)
    own = similarity.diagonal()[:, None]
    better, equal = (similarity > own).sum(1).double(), (similarity == own).sum(1).double()
    recalls = {f"recall@{k}": float(((k - better) / equal).clamp(0, 1).mean()) for k in RANKS}
    return {**recalls, "chance@10": min(1.0, 10 / count), "items": count}
