"""The cost of a meta-learning step, and of views on whole batches: implementations of the same work in turns, on one thread.

A step of MAML is loss and gradients of 16 tasks (5-way 1-shot, conv4 of 32 channels on 28 x 28 pictures): (a) 15 queries per
class and one inner step, (b) one query per class and five inner steps. xlearn's sequential loop over the tasks is compared with
learn2learn's MAML on the same module and tensors (`--learn2learn` names its unpacked sources, of which only algorithms/maml.py
and utils are used; without them a line says so). xlearn's vectorised and first-order steps are compared with its sequential
one. Views are those of SimCLR on whole batches (resized crop, rotation, brightness), against PIL and torchvision image by
image. Prints ratios of the shortest of several turns, in processor time, which other load on the machine disturbs least.
"""

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = {"a": (15, 1), "b": (1, 5)}
TASKS, RATE = 16, 0.4
# By the label of the printed line.
BOUNDS = {"learn2learn": 1.0, "vectorised b": 0.7, "first order a": 0.85, "first order b": 0.45}
VIEWS_BOUND = 20


def least(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds of the processor for each way, the least of `rounds` turns; the first turn is not counted."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            found[name].append(1000 * (time.process_time() - begun))
    return {name: min(each[1:]) for name, each in found.items()}


def told(label: str, ratio: float, bound: float | None, one: float, other: float) -> None:
    promised = "" if bound is None else f" (asked for {bound:g})"
    print(f"{label} = {ratio:.2f}{promised}, {one:.1f} and {other:.1f} ms a step", flush=True)


def case(queries: int, encoder: str = "conv4"):
    """(network, support, query) for a base learner. `encoder`: conv4, conv4 without normalisation, or a perceptron."""
    import torch
    from torch import nn

    from xlearn.data.task import Batch, ImageSpec
    from xlearn.encoders.conv4 import Conv4
    from xlearn.encoders.mlp import Mlp
    from xlearn.fusion.concat import Concat
    from xlearn.label_spaces.classes import Classes
    from xlearn.networks.network import Network
    from xlearn.runtime.machine import machine, place

    torch.manual_seed(0)
    space = Classes("episode", tuple("01234"))
    spec = ImageSpec(1, 28, 28)
    if encoder == "perceptron":
        made = Mlp(spec, widths=[64, 64])
    else:
        made = Conv4(spec, widths=[32, 32, 32, 32], normalisation="batch" if encoder == "conv4" else "none")
    network = Network({"image": made}, Concat({"image": made.width}), {space.key: nn.Linear(made.width, 5)})

    def batch(each: int) -> Batch:
        images = torch.randint(0, 256, (TASKS * 5 * each, 1, 28, 28), dtype=torch.uint8)
        return Batch({"image": images}, torch.arange(5).repeat_interleave(each).repeat(TASKS), space)

    place(network, machine("cpu", "fp32", 1, multirun=False))  # memory layout of a run, one thread
    return network.train(), batch(1), batch(queries)


def step(network, support, query, steps: int, **options) -> tuple[Callable[[], None], Any]:
    """A step of xlearn, and its base learner."""
    from xlearn.base_learners.gradient_descent import GradientDescent
    from xlearn.objectives.meta.query_loss import task_losses

    learner = GradientDescent(rate=RATE, steps=steps, **options)

    def once() -> None:
        network.zero_grad()
        task_losses(query.space, learner(network, support, query, TASKS), query.labels).mean().backward()

    return once, learner


def maml_of(folder: Path) -> Any:
    """learn2learn's MAML, without the other imports of its package."""
    for name in ("learn2learn", "learn2learn.algorithms"):
        package = types.ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
    return importlib.import_module("learn2learn.algorithms.maml").MAML


def theirs(network, support, query, steps: int, maml: Any, first_order: bool = False) -> Callable[[], None]:
    """A step of learn2learn's on the same network and tensors."""
    from torch import nn
    from torch.nn import functional

    class Plain(nn.Module):
        """Images to logits, by the layers of the network."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = network.encoder["image"], network.head[support.space.key]

        def forward(self, images):
            return self.head(self.encoder(images).values[:, 0])

    wrapped = maml(Plain(), lr=RATE, first_order=first_order)
    parts = [
        (batch.inputs["image"].unflatten(0, (TASKS, -1)), batch.labels.unflatten(0, (TASKS, -1))) for batch in (support, query)
    ]

    def once() -> None:
        network.zero_grad()
        for x, y, q, z in zip(*parts[0], *parts[1], strict=True):
            learner = wrapped.clone()
            for _ in range(steps):
                learner.adapt(functional.cross_entropy(learner(x), y))
            (functional.cross_entropy(learner(q), z) / TASKS).backward()

    return once


def meta_steps(maml: Any, rounds: int) -> None:
    for name, (queries, steps) in CASES.items():
        given = case(queries)
        made = {
            "sequential": step(*given, steps, vectorised="never")[0],
            "vectorised": step(*given, steps, vectorised="always")[0],
            "first order": step(*given, steps, vectorised="never", first_order=True)[0],
            "first order, vectorised": step(*given, steps, vectorised="always", first_order=True)[0],
        }
        if maml is not None:
            made["learn2learn"] = theirs(*given, steps, maml)
            made["learn2learn, first order"] = theirs(*given, steps, maml, first_order=True)
        found = least(made, rounds)

        def line(one: str, other: str, bound: str, name: str = name, found: dict[str, float] = found) -> None:
            told(f"{name}: {one} / {other}", found[one] / found[other], BOUNDS.get(bound), found[one], found[other])

        if maml is None:
            print(f"{name}: sequential / learn2learn is left out: give its sources as --learn2learn", flush=True)
        else:
            line("sequential", "learn2learn", "learn2learn")
            line("first order", "learn2learn, first order", "learn2learn")
        line("vectorised", "sequential", f"vectorised {name}")
        line("first order, vectorised", "first order", "")
        line("first order", "sequential", f"first order {name}")
        for first_order in (False, True):
            once, learner = step(*given, steps, vectorised="auto", first_order=first_order)
            once()
            order = "first" if first_order else "second"
            print(f"{name}: auto, {order} order, takes the {learner.log()['inner_loop']} way", flush=True)


def other_networks(rounds: int) -> None:
    """Vectorised against sequential tasks, with few queries and many inner steps."""
    queries, steps = CASES["b"]
    for encoder in ("conv4 without normalisation", "perceptron"):
        given = case(queries, encoder)
        ways = {way: step(*given, steps, vectorised=way)[0] for way in ("always", "never")}
        found = least(ways, rounds)
        ratio = found["always"] / found["never"]
        told(f"b, {encoder}: vectorised / sequential", ratio, BOUNDS["vectorised b"], found["always"], found["never"])


def views(side: int, channels: int, rounds: int, count: int = 64) -> None:
    """Three changes on a batch of pictures."""
    import torch
    from torchvision import transforms

    from xlearn.data.augment._brightness import brightness
    from xlearn.data.augment._resized_crop import resized_crop
    from xlearn.data.augment._rotate import rotate
    from xlearn.data.task import Batch
    from xlearn.label_spaces.classes import Classes

    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)
    batch = Batch({"image": images}, torch.zeros(count, dtype=torch.int64), Classes("bench", ("0",)))
    generator = torch.Generator().manual_seed(0)
    bilinear = transforms.InterpolationMode.BILINEAR
    each = transforms.Compose([
        transforms.ToPILImage(), transforms.RandomResizedCrop(side, (0.2, 1.0), (3 / 4, 4 / 3), bilinear),
        transforms.RandomRotation(30, bilinear), transforms.ColorJitter(brightness=0.3, contrast=0.3), transforms.ToTensor(),
    ])  # fmt: skip

    def whole() -> None:
        changed = rotate(resized_crop(batch, generator, smallest=0.2), generator, degrees=30)
        brightness(changed, generator, contrast=0.3, brightness=0.3)

    found = least({"whole": whole, "single": lambda: torch.stack([each(image) for image in images])}, rounds)
    ratio = found["single"] / found["whole"]
    print(
        f"views of {count} pictures of {channels} x {side} x {side}: PIL, image by image / whole batch = {ratio:.1f} (asked "
        f"for {VIEWS_BOUND} or more), {found['single']:.1f} and {found['whole']:.1f} ms",
        flush=True,
    )


def main() -> None:
    from xlearn.runtime.machine import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--learn2learn", type=Path, help="the folder that holds learn2learn/algorithms/maml.py")
    given = parser.parse_args()
    machine("cpu", "fp32", 1, multirun=False)  # one thread, and the allocator of a run
    meta_steps(None if given.learn2learn is None else maml_of(given.learn2learn), given.rounds)
    other_networks(given.rounds)
    for side, channels in ((28, 1), (96, 1), (96, 3)):
        views(side, channels, given.rounds)


if __name__ == "__main__":
    main()
