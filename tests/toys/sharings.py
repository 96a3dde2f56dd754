"""Networks that several toy tasks share, by every way of sharing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toys.modalities import ENCODERS, MODALITIES, network_for, random_task
from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.sharing._hard import hard
from xlearn.sharing._layers import layers
from xlearn.sharing._none import none
from xlearn.sharing.adapter import Adapter
from xlearn.sharing.all import share_all
from xlearn.sharing.cross_stitch import CrossStitch
from xlearn.sharing.lora import Lora
from xlearn.sharing.mmoe import Mmoe
from xlearn.sharing.mtan import Mtan
from xlearn.sharing.ple import Ple
from xlearn.sharing.progressive import Progressive
from xlearn.sharing.soft import Soft
from xlearn.sharing.together import Parts, join

SHARINGS = {
    "all": partial(share_all),
    "hard": partial(hard),
    "branch": partial(layers, first=1),
    "none": partial(none),
    "soft": partial(Soft),
    "trace_norm": partial(Soft, penalty="trace_norm"),
    "cross_stitch": partial(CrossStitch),
    "sluice": partial(CrossStitch, subspaces=2, layers=[1]),
    "mtan": partial(Mtan),
    "mmoe": partial(Mmoe, experts=3, widths=[5]),
    "cgc": partial(Ple, levels=1, widths=[5]),
    "ple": partial(Ple, levels=2),
    "adapter": partial(Adapter, rank=1),
    "houlsby": partial(Adapter, rank=1, activation="relu"),
    "lora": partial(Lora, rank=1),
    "progressive": partial(Progressive),
}


def joined(
    sharing: str | Callable[..., Any], encoder: str = "cnn", roles: Sequence[str] = ("one", "two", "target"),
    classes: Sequence[int] = (3, 3, 3), statistics: str = "shared", **options: Any,
) -> tuple[Network, dict[str, Task]]:  # fmt: skip
    """(network, tasks) for several tasks of one modality."""
    spec, build = ENCODERS[encoder]
    tasks = {role: random_task(role, [spec], count) for role, count in zip(roles, classes, strict=True)}
    made = network_for(tasks, {MODALITIES[type(spec)]: (spec, build)}, **options)
    torch.manual_seed(1)
    join(made, SHARINGS[sharing] if isinstance(sharing, str) else sharing, tasks, statistics)
    return made, tasks


def first_batches(tasks: Mapping[str, Task], count: int = 6) -> dict[str, Batch]:
    return {role: each.train.take(torch.arange(count)) for role, each in tasks.items()}


def joint_losses(network: Network, given: Mapping[str, Batch]) -> dict[str, Tensor]:
    found = {role: functional.cross_entropy(network(batch), batch.labels) for role, batch in given.items()}
    penalties = getattr(network.sharing, "penalties", None)
    return {**found, **(penalties(network, given) if penalties else {})}


def added(kind: type[nn.Module], encoder: str, **options) -> tuple[Network, Task]:
    spec, build = ENCODERS[encoder]
    tasks = {"target": random_task("target", [spec])}
    network = network_for(tasks, {MODALITIES[type(spec)]: (spec, build)})
    network.sharing = Parts([kind(network, tasks, **options)])
    return network, tasks["target"]
