"""Networks that several toy tasks share, of every encoder that is made of blocks."""

from functools import partial

import torch

from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, Examples, ImageSpec, LabelSpace, Sealed, TabularSpec, Task, TextSpec
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.torchvision_classifier import TorchvisionClassifier
from xlearn.encoders.transformer import Transformer
from xlearn.fusion.concat import Concat
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network
from xlearn.sharing.adapter import Adapter
from xlearn.sharing.all import share_all
from xlearn.sharing.cross_stitch import CrossStitch
from xlearn.sharing.hard import hard
from xlearn.sharing.layers import layers
from xlearn.sharing.lora import Lora
from xlearn.sharing.mmoe import Mmoe
from xlearn.sharing.mtan import Mtan
from xlearn.sharing.none import none
from xlearn.sharing.ple import Ple
from xlearn.sharing.progressive import Progressive
from xlearn.sharing.soft import Soft
from xlearn.sharing.together import join
from xlearn.trunks.mlp import MlpTrunk
from xlearn.trunks.none import NoTrunk

IMAGE = ImageSpec(1, 8, 8)
TEXT = TextSpec(vocabulary=30, length=9, tokenizer="toy")
AUDIO = AudioSpec(bands=8, rate=8000, front="toy")
TABLE = TabularSpec(("a", "b", "c"), "toy")
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
MODALITIES = {ImageSpec: "image", TextSpec: "text", AudioSpec: "audio", TabularSpec: "tabular"}


def column(spec, count, generator):
    if isinstance(spec, ImageSpec):
        return torch.randint(0, 256, (count, spec.channels, spec.height, spec.width), generator=generator, dtype=torch.uint8)
    if isinstance(spec, TabularSpec):
        return torch.randn(count, len(spec.columns), generator=generator)
    lengths = torch.randint(2, 10, (count,), generator=generator).tolist()
    if isinstance(spec, TextSpec):
        return Ragged.of([torch.randint(1, 30, (each,), generator=generator, dtype=torch.int32) for each in lengths])
    return Ragged.of([torch.randn(4 * each, spec.bands, generator=generator) for each in lengths])


def task(role, specs, classes=3, space="toy", count=12, data="", seed=0):
    """Random examples; `data` names what they are made of."""
    generator = torch.Generator().manual_seed(seed + sum(map(ord, data or role)))
    inputs = {MODALITIES[type(spec)]: column(spec, count, generator) for spec in specs}
    labels, rows = torch.arange(count) % classes, torch.arange(count)
    labelled = LabelSpace(space, tuple(f"c{number}" for number in range(classes)))
    every = Examples(inputs, labels, rows, labelled, data=data or role, task=role)
    few = every.subset(rows[:0])
    named = {MODALITIES[type(spec)]: spec for spec in specs}
    return Task(role, named, labelled, every.subset(rows), few, few, Sealed(role, every), data or role, role)


def network(tasks, encoders, width=None, trunk=None):
    """A network for these tasks; `encoders` by modality, each with its spec."""
    torch.manual_seed(0)
    made = {name: build(spec) for name, (spec, build) in encoders.items()}
    widths = {name: each.width for name, each in made.items()}
    fusion = Concat(widths) if width is None else Mean(widths, width=width)
    above = MlpTrunk(fusion.width, widths=[trunk]) if trunk else NoTrunk(fusion.width)
    heads = {each.labels.key: torch.nn.Linear(above.width, len(each.labels.classes)) for each in tasks.values()}
    return Network(made, fusion, heads, above)


def joined(sharing, encoder="cnn", roles=("one", "two", "target"), classes=(3, 3, 3), statistics="shared", **options):
    """(network, tasks) for several tasks of one modality."""
    spec, build = ENCODERS[encoder]
    tasks = {role: task(role, [spec], count) for role, count in zip(roles, classes, strict=True)}
    made = network(tasks, {MODALITIES[type(spec)]: (spec, build)}, **options)
    torch.manual_seed(1)
    join(made, SHARINGS[sharing] if isinstance(sharing, str) else sharing, tasks, statistics)
    return made, tasks


def batches(tasks, count=6):
    return {role: each.train.take(torch.arange(count)) for role, each in tasks.items()}


def losses(network, given):
    found = {role: torch.nn.functional.cross_entropy(network(batch), batch.labels) for role, batch in given.items()}
    penalties = getattr(network.sharing, "penalties", None)
    return {**found, **(penalties(network, given) if penalties else {})}
