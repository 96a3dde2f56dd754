"""Inputs of every modality, as objectives that reconstruct them meet them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.columns import Column, Ragged
from xlearn.data.task import (
    AudioSpec,
    Batch,
    Examples,
    ImageSpec,
    LabelSpace,
    Sealed,
    Spec,
    TabularSpec,
    Task,
    TextSpec,
    VectorSpec,
)
from xlearn.data.unlabeled import UNLABELED
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.vector import Vector
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext

SPECS: dict[str, Spec] = {
    "image": ImageSpec(2, 6, 7),
    "text": TextSpec(30, 12, "toy"),
    "audio": AudioSpec(5, None, "toy"),
    "tabular": TabularSpec(tuple("abcd"), "toy"),
}
SPACE = LabelSpace("toy", ("a", "b"))


def column(name: str, count: int, seed: int = 0) -> Column:
    """Random inputs; two factors behind every example make its parts say something of each other."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(count, 2, generator=generator)
    if name == "image":
        drawn = torch.rand(count, 2, 6, 7, generator=generator) * 40
        return (drawn + 100 + 40 * factors.clamp(-2, 2).mean(1)[:, None, None, None]).clamp(0, 255).byte()
    if name == "tabular":
        return factors @ torch.randn(2, 4, generator=generator)
    lengths = torch.randint(2, 13, (count,), generator=generator).tolist()
    if name == "text":
        return Ragged.of(
            [
                torch.randint(2, 16, (n,), generator=generator).int() + 14 * (f > 0).int()
                for n, f in zip(lengths, factors[:, 0], strict=True)
            ]
        )
    return Ragged.of([torch.randn(n, 5, generator=generator) * 0.3 + f for n, f in zip(lengths, factors[:, :1], strict=True)])


def encoder(spec: Spec) -> nn.Module:
    if isinstance(spec, ImageSpec):
        return Mlp(spec, widths=[16, 8])
    if isinstance(spec, TextSpec):
        return TextCnn(spec, embedding=8, filters=8, kernels=[1])
    if isinstance(spec, AudioSpec):
        # Of waves what an encoder would make of them does not matter: they are refused.
        return AudioCnn(replace(spec, bands=spec.bands or 5), channels=[4], dense=8)
    return Vector(spec) if isinstance(spec, VectorSpec) else TabularMlp(spec, widths=[16, 8])


def begin(
    *names: str, count: int = 40, present: Mapping[str, Tensor] | None = None, **specs: Spec
) -> tuple[PhaseContext, Network]:
    """A context and a network for an unlabelled task of these modalities; `specs` stand in for those of `SPECS`."""
    torch.manual_seed(0)
    given = {name: specs.get(name, SPECS[name]) for name in names}
    columns = {name: column(name, count, seed) for seed, name in enumerate(names)}
    there = {} if present is None else dict(present)
    examples = Examples(columns, torch.full((count,), -1), torch.arange(count), SPACE, present=there)
    none = examples.subset(torch.arange(0))
    task = Task("toy", given, SPACE, examples, none, none, Sealed("toy", none), "toy", "toy")
    encoders = {name: encoder(spec) for name, spec in given.items()}
    fusion = Concat({name: int(each.width) for name, each in encoders.items()})
    network = Network(encoders, fusion, {SPACE.key: nn.Linear(fusion.width, 2)})
    return PhaseContext(network, frozenset(), {}, tasks={UNLABELED: task}), network


def batch_of(context: PhaseContext, size: int = 16) -> dict[str, Batch]:
    examples = context.tasks[UNLABELED].train
    return {UNLABELED: replace(examples.take(torch.arange(size)), memo={})}


def blank(objective: Any) -> Any:
    """The decoders say 0 of everything."""
    for decoder in objective.pieces.decoder.values():
        torch.nn.init.zeros_(decoder.leave.weight)
        torch.nn.init.zeros_(decoder.leave.bias)
    return objective


def seen_by(network: Network, objective: Any, batches: Mapping[str, Batch]) -> tuple[Batch, dict[str, Tensor]]:
    """What the encoders are given, and the losses."""
    given: list[Batch] = []
    features = network.features
    network.features = lambda batch: given.append(batch) or features(batch)
    losses = objective(network, batches)
    del network.features
    return given[0], losses
