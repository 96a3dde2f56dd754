"""Small tasks, their examples and batches. Those that give a `Raw` are also tasks for configurations."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy
import torch

from xlearn.data.columns import Ragged
from xlearn.data.modalities.image import ImageFormat
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.splits import Splits
from xlearn.data.task import Batch, Examples, ImageSpec, Sealed, Spec, TabularSpec, Task
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import Raw
from xlearn.data.unlabeled import UNLABELED, hidden
from xlearn.label_spaces.classes import Classes
from xlearn.label_spaces.numbers import Numbers
from xlearn.runtime.hashing import derive

SPEC = ImageSpec(1, 6, 6)
PAIRED = Classes("toy", ("a", "b"))
RATE = 8000
SIDE = 8
# Four numbers of eight examples: each has mean 0 and variance 1, no two correlate.
APART = torch.tensor([[a, b, c, a * b] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
FRUITS = ("apple", "banana", "cherry", "damson", "elder")


def blobs(*, classes: int = 3, per_class: int = 40, shift: float = 0.0, channels: int = 1, side: int = 6) -> Raw:
    """Grey images whose bright square stands where the class says; `shift` brightens the background."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(classes).repeat_interleave(per_class)
    images = torch.rand(len(labels), channels, side, side, generator=generator) * 60 + shift
    for row, label in enumerate(labels.tolist()):
        images[row, :, (2 * label) % side : (2 * label) % side + 2, : side // 2 + label % 2] += 120
    return Raw({"image": images.clamp(0, 255).byte()}, labels, tuple(f"c{n}" for n in range(classes)), "blobs")


def deadly(*, marker: str, always: bool = False) -> Raw:
    """Blobs that kill the process which reads them: the first time, or `always`. `marker` is a file that counts the times."""
    with open(marker, "a", encoding="utf-8") as file:
        file.write("x")
    if always or Path(marker).stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return blobs()


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


def everything() -> Raw:
    """120 examples of three classes, of which image, text, audio and tabular say the same; the sound is a tone of 300, 600 or
    900 Hz, a tenth to a fifth of a second long.
    """
    both, texts = pairs(), words()
    generator = torch.Generator().manual_seed(9)
    tones = []
    for label in both.labels.tolist():
        seconds = torch.arange(int(torch.randint(RATE // 10, RATE // 5, (), generator=generator))) / RATE
        noise = torch.randn(len(seconds), generator=generator)
        tones.append(torch.sin(2 * torch.pi * 300 * (label + 1) * seconds) + 0.1 * noise)
    inputs = {**both.inputs, **texts.inputs, "audio": Ragged.of(tones)}
    return Raw(inputs, both.labels, both.classes, "blobs", columns=both.columns, rate=RATE)


def brightness(*, count: int = 160, shift: float = 0.0) -> Raw:
    """Grey images, and as labels how bright they are: a number between -1 and 1. `shift` adds a pattern that says nothing."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.rand(count, generator=generator) * 2 - 1
    images = 120 + 80 * labels[:, None, None, None] + torch.rand(count, 1, 6, 6, generator=generator) * 40
    images[:, :, ::2] += shift
    return Raw({"image": images.clamp(0, 255).byte()}, labels, space="brightness", predicts=Numbers)


def signs(*, kinds: int = 12, each: int = 12, seed: int = 0) -> Raw:
    """Noisy drawings, `kinds` signs in `each` exemplars. Another seed: other signs."""
    generator = torch.Generator().manual_seed(derive(seed, "signs"))
    drawn = torch.rand(kinds, 1, SIDE, SIDE, generator=generator).round() * 160
    labels = torch.arange(kinds).repeat_interleave(each)
    images = drawn[labels] + torch.rand(len(labels), 1, SIDE, SIDE, generator=generator) * 95
    return Raw({"image": images.byte()}, labels, tuple(f"s{seed}_{n}" for n in range(kinds)), "signs")


def fruits(counts: list[int], official: torch.Tensor | None = None) -> Raw:
    """Classes of the given sizes, their rows mixed; nothing is to be seen."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(7))]
    # Every picture differs from all others: copies would stay together.
    images = torch.arange(len(labels)).int().view(torch.uint8).reshape(-1, 1, 2, 2)
    return Raw({"image": images}, labels, FRUITS[: len(counts)], "fruit", official)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_draws(count: int, width: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator), torch.randn(count, width, generator=generator)


def uneven_draw(count: int, width: int, seed: int) -> torch.Tensor:
    """Of columns each is spread further than the last, all around 3."""
    return draw(count, width, seed=seed) * torch.arange(1, width + 1) + 3


def image_format(channels: int = 1, height: int = 6, width: int = 6) -> dict[str, ImageFormat]:
    """Images of one size, as `prepare` wants it."""
    return {"image": ImageFormat(ImageSpec(channels, height, width))}


def prepared(load: Callable[[], Raw], name: str | None = None, where: str = "target", **options: object) -> Task:
    """A task of 6 x 6 images with these options, at seed 0. What was loaded is kept for the next of the same name: by default
    that of the function.
    """
    source = TaskSource(name or load.__name__, where, load, {}, TaskOptions(**options))
    return prepare(source, image_format(), 0)


def blobs_task(**options: object) -> Task:
    return prepared(blobs, **options)


def shifted_tasks(shots: int | None = 0, source: dict | None = None, **target: object) -> dict[str, dict[str, Task]]:
    """All tasks by role: blobs as the source, brighter ones as the target, of which few labels are known or none."""
    dim = prepared(partial(blobs, shift=50.0), "dim", shots=shots, **target)
    return {"source": {"blobs": prepared(blobs, "blobs", "source.blobs", **source or {})}, "target": {"target": dim}}


def random_images(count: int = 50, classes: int = 3, seed: int = 0) -> Examples:
    """Random images with labels that a network can learn by heart."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    space = Classes("toy", tuple(f"c{n}" for n in range(classes)))
    return Examples({"image": images}, labels, torch.arange(count), space, specs={"image": SPEC})


def image_task(given: Examples, name: str = "toy", unlabeled: Examples | None = None) -> Task:
    """All examples are training examples (or, of `unlabeled`, unlabelled ones); the first ten also validate and test."""
    few = given.subset(torch.arange(min(10, len(given))))
    none = given.subset(torch.arange(0))
    return Task(name, {"image": SPEC}, given.space, given, few, unlabeled or none, Sealed(name, few), "toy", f"{name} toy")


def domain_tasks(count: int = 48, classes: int = 3, shots: int = 0) -> dict[str, Task]:
    """`{"source": ..., "unlabeled": ...}` that differ, and `target` with labelled examples if there are shots."""
    source = replace(random_images(count, classes, seed=1), task="source")
    other = random_images(count, classes, seed=2)
    brighter = replace(other, inputs={"image": (other.inputs["image"] // 2 + 100).byte()})
    labelled = brighter.subset(torch.arange(shots * classes))
    target = image_task(labelled if shots else brighter, "other", unlabeled=brighter)
    found = {"source": image_task(source, "toy"), UNLABELED: hidden(target)}
    return {**found, "target": target} if shots else found


def pair_batch(count: int = 6, **present: torch.Tensor) -> Batch:
    """Random images and numbers, as `networks.pair_network` reads them."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    inputs = {"image": images, "tabular": torch.randn(count, 2, generator=generator)}
    specs: dict[str, Spec] = {"image": SPEC, "tabular": TabularSpec(("a", "b"), "toy")}
    return Batch(inputs, torch.arange(count) % 2, PAIRED, present=present, specs=specs)


def labelled_batch(labels: object) -> dict[str, Batch]:
    """These labels and no inputs, as `networks.Fixed` reads them."""
    return {"a": Batch({}, torch.as_tensor(labels), Classes("x", ("0", "1", "2")))}


def pixels(seed: int = 0, side: int = 8, channels: int = 3) -> numpy.ndarray:
    """Random pixels as Pillow takes them: `uint8 [side, side, 3]`, or `[side, side]` for grey."""
    shape = (side, side, 3) if channels == 3 else (side, side)
    return numpy.random.default_rng(seed).integers(0, 256, shape, dtype=numpy.uint8)


def parts(found: Splits) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in found.parts().items()}


def rows_of(found: Splits) -> list[int]:
    return [row for rows in parts(found).values() for row in rows]
