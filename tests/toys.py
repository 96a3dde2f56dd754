"""Small tasks, networks and settings that the tests share. `blobs` is also a task for configurations."""

from pathlib import Path

import numpy
import torch

from xlearn.batches import Batches
from xlearn.cache import Cache
from xlearn.encoders.mlp import Mlp
from xlearn.fit import Update
from xlearn.fusion.concat import Concat
from xlearn.hashing import derive
from xlearn.machine import Machine
from xlearn.network import Network
from xlearn.phase import Setting
from xlearn.task import Examples, ImageSpec, LabelSpace
from xlearn.tasks import Raw

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
        "recomputed": None, "network": {}, "report": lines.append,
    }  # fmt: skip
    return Setting(**{**values, **options})


def pixels(seed: int = 0, side: int = 8, channels: int = 3) -> numpy.ndarray:
    """Random pixels as Pillow takes them: `uint8 [side, side, 3]`, or `[side, side]` for grey."""
    shape = (side, side, 3) if channels == 3 else (side, side)
    return numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)
