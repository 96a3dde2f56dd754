"""Tasks of every modality and networks for them: small encoders, and inputs whose parts say something of each other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from toys.tasks import PAIRED
from xlearn.data.columns import Column, Ragged
from xlearn.data.task import (
    AudioSpec,
    Batch,
    Examples,
    ImageSpec,
    Sealed,
    Spec,
    TabularSpec,
    Task,
    TextSpec,
    VectorSpec,
)
from xlearn.data.unlabeled import UNLABELED
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.torchvision_classifier import TorchvisionClassifier
from xlearn.encoders.transformer import Transformer
from xlearn.encoders.vector import Vector
from xlearn.fusion.concat import Concat
from xlearn.fusion.mean import Mean
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.trunks.mlp import MlpTrunk
from xlearn.trunks.none import NoTrunk

IMAGE = ImageSpec(1, 8, 8)
TEXT = TextSpec(vocabulary=30, length=9, tokenizer="toy")
AUDIO = AudioSpec(bands=8, rate=8000, front="toy")
TABLE = TabularSpec(("a", "b", "c"), "toy")
MODALITIES = {ImageSpec: "image", TextSpec: "text", AudioSpec: "audio", TabularSpec: "tabular"}
# Of every encoder that is made of blocks.
ENCODERS = {
    "cnn": (IMAGE, partial(Cnn, widths=[4, 6], dense=8)),
    "mlp": (IMAGE, partial(Mlp, widths=[8, 6])),
    "resnet18": (ImageSpec(3, 32, 32), partial(TorchvisionClassifier, name="resnet18")),
    "lstm": (TEXT, partial(Lstm, embedding=6, width=8, layers=2)),
    "text_cnn": (TEXT, partial(TextCnn, embedding=6, filters=4, kernels=[1, 2])),
    "transformer": (TEXT, partial(Transformer, width=8, layers=2, heads=2, feedforward=12)),
    "audio_cnn": (AUDIO, partial(AudioCnn, channels=[4, 6], dense=8)),
    "tabular": (TABLE, partial(TabularMlp, widths=[8, 6])),
}
RELATED: dict[str, Spec] = {
    "image": ImageSpec(2, 6, 7),
    "text": TextSpec(30, 12, "toy"),
    "audio": AudioSpec(5, None, "toy"),
    "tabular": TabularSpec(tuple("abcd"), "toy"),
}


def random_column(spec: Spec, count: int, generator: torch.Generator) -> Column:
    if isinstance(spec, ImageSpec):
        return torch.randint(0, 256, (count, spec.channels, spec.height, spec.width), generator=generator, dtype=torch.uint8)
    if isinstance(spec, TabularSpec):
        return torch.randn(count, len(spec.columns), generator=generator)
    lengths = torch.randint(2, 10, (count,), generator=generator).tolist()
    if isinstance(spec, TextSpec):
        return Ragged.of([torch.randint(1, 30, (each,), generator=generator, dtype=torch.int32) for each in lengths])
    return Ragged.of([torch.randn(4 * each, spec.bands, generator=generator) for each in lengths])


def random_task(
    role: str, specs: Sequence[Spec], classes: int = 3, space: str = "toy", count: int = 12, data: str = "", seed: int = 0
) -> Task:
    """Random examples; `data` names what they are made of."""
    generator = torch.Generator().manual_seed(seed + sum(map(ord, data or role)))
    inputs = {MODALITIES[type(spec)]: random_column(spec, count, generator) for spec in specs}
    labels, rows = torch.arange(count) % classes, torch.arange(count)
    labelled = Classes(space, tuple(f"c{number}" for number in range(classes)))
    named = {MODALITIES[type(spec)]: spec for spec in specs}
    every = Examples(inputs, labels, rows, labelled, data=data or role, task=role, specs=named)
    few = every.subset(rows[:0])
    return Task(role, named, labelled, every.subset(rows), few, few, Sealed(role, every), data or role, role)


def network_for(
    tasks: Mapping[str, Task], encoders: Mapping[str, Any], width: int | None = None, trunk: int | None = None
) -> Network:
    """A network for these tasks; `encoders` by modality, each with its spec."""
    torch.manual_seed(0)
    made = {name: build(spec) for name, (spec, build) in encoders.items()}
    widths = {name: each.width for name, each in made.items()}
    fusion = Concat(widths) if width is None else Mean(widths, width=width)
    above = MlpTrunk(fusion.width, widths=[trunk]) if trunk else NoTrunk(fusion.width)
    heads = {each.labels.key: nn.Linear(above.width, len(each.labels.classes)) for each in tasks.values()}
    return Network(made, fusion, heads, above)


def target_alone(encoder: str) -> tuple[Network, Task]:
    """A target of the encoder's modality, and a network that learns nothing else."""
    spec, build = ENCODERS[encoder]
    given = random_task("target", [spec])
    return network_for({"target": given}, {MODALITIES[type(spec)]: (spec, build)}), given


def related_column(name: str, count: int, seed: int = 0) -> Column:
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


def small_encoder(spec: Spec) -> nn.Module:
    if isinstance(spec, ImageSpec):
        return Mlp(spec, widths=[16, 8])
    if isinstance(spec, TextSpec):
        return TextCnn(spec, embedding=8, filters=8, kernels=[1], dropout=0.0)
    if isinstance(spec, AudioSpec):
        # Of waves what an encoder would make of them does not matter: they are refused.
        return AudioCnn(replace(spec, bands=spec.bands or 5), channels=[4], dense=8, dropout=0.0)
    return Vector(spec) if isinstance(spec, VectorSpec) else TabularMlp(spec, widths=[16, 8])


def related_context(
    *names: str, count: int = 40, present: Mapping[str, Tensor] | None = None, **specs: Spec
) -> tuple[PhaseContext, Network]:
    """A context and a network for an unlabelled task of these modalities; `specs` stand in for those of `RELATED`."""
    torch.manual_seed(0)
    given = {name: specs.get(name, RELATED[name]) for name in names}
    columns = {name: related_column(name, count, seed) for seed, name in enumerate(names)}
    there = {} if present is None else dict(present)
    examples = Examples(columns, torch.full((count,), -1), torch.arange(count), PAIRED, present=there, specs=given)
    none = examples.subset(torch.arange(0))
    task = Task("toy", given, PAIRED, examples, none, none, Sealed("toy", none), "toy", "toy")
    encoders = {name: small_encoder(spec) for name, spec in given.items()}
    fusion = Concat({name: int(each.width) for name, each in encoders.items()})
    network = Network(encoders, fusion, {PAIRED.key: nn.Linear(fusion.width, 2)})
    return PhaseContext(network, frozenset(), {}, tasks={UNLABELED: task}), network


def blank(objective: Any) -> Any:
    """The decoders say 0 of everything."""
    for decoder in objective.pieces.decoder.values():
        nn.init.zeros_(decoder.leave.weight)
        nn.init.zeros_(decoder.leave.bias)
    return objective


def seen_by(network: Network, objective: Any, batches: Mapping[str, Batch]) -> tuple[Batch, dict[str, Tensor]]:
    """What the encoders are given, and the losses."""
    given: list[Batch] = []
    features = network.features
    network.features = lambda batch: given.append(batch) or features(batch)
    losses = objective(network, batches)
    del network.features
    return given[0], losses
