"""What adaptation asks of a step: the source's examples with their labels, and the target's without."""

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
    """Both domains of a step, as the heads read them: `source float [n, width]` with `labels int64 [n]`, of all sources one
    after the other; `target float [m, width]`, the unlabelled examples.
    """

    source: Tensor
    labels: Tensor
    target: Tensor


def domains(network: Network, batches: Mapping[str, Batch]) -> Domains:
    """The features of both domains, in single precision whatever the run's, computed once for all who ask.

    Each task passes the network by itself: a batch normalisation sees one domain at a time in training, and its running
    statistics, by which it evaluates, are a mixture of both (TLlib passes both as one batch).
    """
    roles = sources(batches)
    source = torch.cat([network.features(batches[role]) for role in roles]).float()
    labels = torch.cat([batches[role].labels for role in roles])
    return Domains(source, labels, network.features(batches[UNLABELED]).float())


def classify(network: Network, batches: Mapping[str, Batch], features: Tensor) -> Tensor:
    """Logits `float [n, classes]` of features by the target's head, which the source has too."""
    return network.head[batches[UNLABELED].space.key](features).float()


def need_domains(context: PhaseContext, name: str, source: bool = True) -> int:
    """The number of classes. Raises `Problem` where the phase reads no unlabelled target, or (`source`) no source."""
    if UNLABELED not in context.tasks:
        raise Problem(f"{name} adapts to unlabelled examples of the target, and its phase reads none. Set reads: everything.")
    if source and not sources(context.tasks):
        raise Problem(f"{name} compares the target with a source, and its phase reads none. Set reads: everything.")
    return len(context.tasks[UNLABELED].labels.classes)
