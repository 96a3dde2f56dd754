"""Contexts as objectives are built with them, each with its network, and batches."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toys.networks import LOGITS, Fixed, image_network
from toys.tasks import blobs, domain_tasks, image_task, labelled_batch, random_images
from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED, hidden
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.views import viewed

LABELS = [0, 2, 1]


def normalised_trunk() -> nn.Module:
    """Batch normalisation and dropout of eight features."""
    trunk: Any = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.2))
    trunk.width = 8
    return trunk


def adaptation_context(
    count: int = 48, classes: int = 3, shots: int = 0, steps: int = 10, seed: int = 0
) -> tuple[PhaseContext, Network]:
    """A labelled source and an unlabelled target that differ."""
    tasks = domain_tasks(count, classes, shots)
    net = image_network(tasks["source"].train, seed=seed)
    counts = {role: each.class_counts() for role, each in tasks.items() if role != UNLABELED}
    return PhaseContext(net, frozenset(), counts, steps=steps, tasks=tasks), net


def normalised_context(steps: int = 6) -> tuple[PhaseContext, Network]:
    """The same; the network has batch normalisation and dropout."""
    context, net = adaptation_context(steps=steps)
    parts = {key: nn.Linear(8, 3) for key in net.head}
    torch.manual_seed(4)
    net = Network(dict(net.encoder), net.fusion, parts, normalised_trunk())
    for parameter in net.head.parameters():
        nn.init.normal_(parameter)
    return replace(context, network=net), net


def environment_context(count: int = 3, steps: int = 10, classes: int = 3) -> tuple[PhaseContext, Network]:
    """So many labelled environments."""
    tasks = {f"e{n}": image_task(replace(random_images(24, classes, seed=n), task=f"e{n}")) for n in range(count)}
    net = image_network(next(iter(tasks.values())).train)
    counts = {role: each.class_counts() for role, each in tasks.items()}
    return PhaseContext(net, frozenset(), counts, steps=steps, tasks=tasks), net


def fixed_loss(objective: Any, labels: Any = LABELS, network: nn.Module | None = None) -> Tensor:
    """Of the given logits, or those of `network`."""
    return objective(network or Fixed(LOGITS), labelled_batch(labels))["a"]


def fixed_context(counts: tuple[int, ...] = (6, 3, 1), steps: int = 1) -> PhaseContext:
    """The role `a` with so many examples of each class, and a network of given logits."""
    return PhaseContext(Fixed(LOGITS), frozenset(), {"a": torch.tensor(counts)}, steps=steps)


def bare_context(network: nn.Module, *teachers: Network, **options: Any) -> PhaseContext:
    """A network, and nothing that it learns from."""
    return PhaseContext(network, frozenset(), {}, teachers, **options)


def noisy(batch: Batch, generator: torch.Generator) -> Batch:
    """A view: pixels with noise."""
    image = batch.inputs["image"].float()
    return replace(batch, inputs={"image": image + 25 * torch.randn(image.shape, generator=generator)})


def bare(batch: Batch) -> Batch:
    """A view that changes nothing."""
    return replace(batch, memo={})


def compared_context(steps: int = 10, count: int = 48, seed: int = 0, labels: bool = False) -> tuple[PhaseContext, Network]:
    """The roles `source` and `unlabeled`, both without labels (or, of `labels`, the source with them, alone), views of their
    examples, and a network with normalisation and dropout.
    """
    context, net = adaptation_context(count, steps=steps, seed=seed)
    torch.manual_seed(4)
    net = Network(dict(net.encoder), net.fusion, dict(net.head), normalised_trunk())
    source = context.tasks["source"]
    if labels:
        tasks, counts = {"source": source}, {"source": source.class_counts()}
    else:
        bare_source = hidden(replace(source, unlabeled=source.train))
        tasks, counts = {"source": bare_source, UNLABELED: context.tasks[UNLABELED]}, {}
    view = partial(viewed, views=(noisy,))
    return replace(context, network=net, tasks=tasks, class_counts=counts, view=view), net


def squares_context(steps: int = 60, seed: int = 0, labels: bool = False) -> tuple[PhaseContext, Network]:
    """A single role whose images differ by where a bright square stands, and an MLP that reads them."""
    raw = blobs(per_class=16)
    given = replace(random_images(len(raw.labels)), inputs=raw.inputs, labels=raw.labels)
    net = image_network(given, seed=seed)
    known = image_task(given)
    tasks = {"source": known} if labels else {UNLABELED: hidden(replace(known, unlabeled=given))}
    return PhaseContext(net, frozenset(), {}, steps=steps, tasks=tasks, view=partial(viewed, views=(noisy,))), net


def batch_of(context: PhaseContext, size: int = 16) -> dict[str, Batch]:
    """The first examples of every role, as a step has them."""
    return {
        role: replace(each.train.take(torch.arange(min(size, len(each.train)))), memo={})
        for role, each in context.tasks.items()
    }


def losses_of(net: Network, given: Mapping[str, Batch]) -> list[float]:
    return [functional.cross_entropy(net(batch), batch.labels).item() for batch in given.values()]


def loss_of(kind: Any, **options: Any) -> tuple[Tensor, PhaseContext, Network]:
    """The only loss of an objective that adapts."""
    context, network = adaptation_context()
    [loss] = kind(context, **options)(network, batch_of(context)).values()
    return loss, context, network


def set_progress(objective: Any, step: int) -> None:
    objective.reversal.step.fill_(step)
