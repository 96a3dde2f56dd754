"""Small tasks, networks and settings that the tests share. `blobs` is also a task for configurations."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy
import torch

from xlearn.data.batches import Batches
from xlearn.data.modalities.image import ImageFormat
from xlearn.data.task import Examples, ImageSpec, LabelSpace
from xlearn.data.tasks import Raw
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network
from xlearn.phases.fit import Update
from xlearn.phases.phase import Setting
from xlearn.runtime.cache import Cache
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine

CPU = Machine(torch.device("cpu"), "fp32", 1)
SPEC = ImageSpec(1, 6, 6)


def blobs(*, classes: int = 3, per_class: int = 40, shift: float = 0.0, channels: int = 1, side: int = 6) -> Raw:
    """Grey images whose bright square stands where the class says; `shift` brightens the background."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(classes).repeat_interleave(per_class)
    images = torch.rand(len(labels), channels, side, side, generator=generator) * 60 + shift
    for row, label in enumerate(labels.tolist()):
        images[row, :, (2 * label) % side : (2 * label) % side + 2, : side // 2 + label % 2] += 120
    return Raw({"image": images.clamp(0, 255).byte()}, labels, tuple(f"c{n}" for n in range(classes)), "blobs")


def numbers(*, classes: int = 3, per_class: int = 40, seed: int = 6) -> Raw:
    """Four columns of numbers, one of which is larger where the class says; some values are missing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    values = torch.randn(len(labels), 4, generator=generator)
    values[torch.arange(len(labels)), labels % 4] += 4
    values[torch.rand(values.shape, generator=generator) < 0.02] = float("nan")
    return Raw({"tabular": values}, labels, tuple(f"c{n}" for n in range(classes)), "blobs", columns=tuple("abcd"))


def words(*, classes: int = 3, per_class: int = 40, seed: int = 7) -> Raw:
    """Texts of 1 to 24 words, a third of which tell the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    texts = []
    for label in labels.tolist():
        drawn = torch.randint(0, 3, (int(torch.randint(1, 25, (), generator=generator)),), generator=generator)
        texts.append(" ".join(["red", "green", "blue", "white"][label % 4] if each == 0 else "of" for each in drawn))
    return Raw({"text": texts}, labels, tuple(f"c{n}" for n in range(classes)), "blobs")


def pairs(*, lacking: float = 0.0, side: Literal["numbers", "words"] = "numbers", shift: float = 0.0) -> Raw:
    """Images with the numbers or words of the same class; a share of the examples lacks those."""
    images, others = blobs(shift=shift), (numbers if side == "numbers" else words)()
    [modality] = others.inputs
    order = torch.randperm(len(images.labels), generator=torch.Generator().manual_seed(8))
    present = {modality: order >= round(lacking * len(order))} if lacking else {}
    return replace(images, inputs={**images.inputs, **others.inputs}, columns=others.columns, present=present)


class Ready(Mlp):
    """Brings weights of its own: nothing but ones."""

    def __init__(self, spec: ImageSpec, *, widths: list[int], dropout: float = 0.0, weights: str | None = None) -> None:
        super().__init__(spec, widths=widths, dropout=dropout)
        for parameter in self.parameters() if weights else ():
            torch.nn.init.ones_(parameter)


def examples(count: int = 50, classes: int = 3, seed: int = 0) -> Examples:
    """Random images with labels that a network can learn by heart."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    return Examples({"image": images}, labels, torch.arange(count), LabelSpace("toy", tuple(f"c{n}" for n in range(classes))))


def network(given: Examples, dropout: float = 0.0, seed: int = 0) -> Network:
    """An MLP on 6 x 6 images with a head for the label space of `given`."""
    torch.manual_seed(derive(seed, "toy"))
    encoder = Mlp(SPEC, widths=[16, 8], dropout=dropout)
    fusion = Concat({"image": encoder.width})
    head = torch.nn.Linear(fusion.width, len(given.space.classes))
    return Network({"image": encoder}, fusion, {given.space.key: head})


def batches(given: Examples, batch_size: int = 16, **options: object) -> Batches:
    return Batches({"target": given}, batch_size=batch_size, seed=3, **options)


def update(objectives: list, rates: dict, lr: float = 0.01) -> Update:
    from functools import partial

    from xlearn.balance.equal import equal
    from xlearn.schedules.constant import constant

    return Update(objectives, rates, partial(torch.optim.Adam, lr=lr, fused=True), constant, equal)


def setting(folder: Path, **options: object) -> Setting:
    lines: list = []
    values = {
        "seed": 0, "machine": CPU, "cache": Cache(folder), "metric": "accuracy", "evaluations": 5, "checkpoint_seconds": 1e9,
        "recomputed": None, "pretrained": frozenset(), "report": lines.append,
    }  # fmt: skip
    return Setting(**{**values, **options})


def pixels(seed: int = 0, side: int = 8, channels: int = 3) -> numpy.ndarray:
    """Random pixels as Pillow takes them: `uint8 [side, side, 3]`, or `[side, side]` for grey."""
    shape = (side, side, 3) if channels == 3 else (side, side)
    return numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)


def image_format(channels: int = 1, height: int = 6, width: int = 6) -> dict[str, ImageFormat]:
    """Images of one size, as `prepare` wants it."""
    return {"image": ImageFormat(ImageSpec(channels, height, width))}
