"""The two domains of adaptation: labelled source features and unlabelled target features."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Domains:
    """The features below the heads, of both domains: `source float [n, width]` with `labels int64 [n]`, all sources
    concatenated; `target float [m, width]`, the unlabelled examples.
    """

    source: Tensor
    labels: Tensor
    target: Tensor


def domains(network: Network, batches: Mapping[str, Batch]) -> Domains:
    """The features of both domains, always in single precision, computed once per step for all objectives.

    Each task has a separate forward pass: in training batch normalisation uses the statistics of one domain, and its running
    statistics are a mixture of both (most scripts of TLlib pass both domains as one batch).
    """
    roles = sources(batches)
    source = torch.cat([network.features(batches[role]) for role in roles]).float()
    labels = torch.cat([batches[role].labels for role in roles])
    return Domains(source, labels, network.features(batches[UNLABELED]).float())


def classify(network: Network, batches: Mapping[str, Batch], features: Tensor) -> Tensor:
    """Logits `float [n, classes]` of features by the target's head, which source and target share."""
    return network.head[batches[UNLABELED].space.key](features).float()


def need_domains(context: PhaseContext, name: str, source: bool = True) -> int:
    """The number of classes. Raises `Problem` if the phase reads no unlabelled target, or (with `source`) no source."""
    if UNLABELED not in context.tasks:
        raise Problem(
            f"{name} adapts to unlabelled examples of the target, but its phase reads none. Set "
            "reads: [source, target, target.unlabeled]."
        )
    if source and not sources(context.tasks):
        raise Problem(
            f"{name} compares the target with a source, but its phase reads none. Set "
            "reads: [source, target, target.unlabeled]."
        )
    return len(context.tasks[UNLABELED].labels.classes)
