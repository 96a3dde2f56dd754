"""The embeddings of paired modalities, for contrastive alignment."""

import itertools
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem


def pairs(network: Network, batches: Mapping[str, Batch]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yields (name, z_a, z_b) for each role and two modalities a < b: unit vectors `[m, width]` of the m examples with both.

    z are the unimodal features below the heads; m may be 0. Raises `Problem` for a task with a single modality.
    """
    for role, batch in batches.items():
        names = sorted(batch.inputs.keys() & network.encoder.keys())
        if len(names) < 2:
            raise Problem(f"{role} has only the modality {' '.join(names)}, but alignment needs pairs. Choose another source.")
        embedded = {name: functional.normalize(network.features(batch.only(name)), dim=1) for name in names}
        for first, second in itertools.combinations(names, 2):
            both = _both(batch, first, second)
            one, other = embedded[first], embedded[second]
            yield f"{role}_{first}_{second}", one if both is None else one[both], other if both is None else other[both]


def _both(batch: Batch, first: str, second: str) -> Tensor | None:
    masks = [batch.present[name] for name in (first, second) if name in batch.present]
    return torch.stack(masks).all(0) if masks else None
