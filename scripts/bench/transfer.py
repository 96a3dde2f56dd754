"""The cost of frozen parts and of a teacher: steps of `fit` in turns, within one process on one thread.

`linear_probe / full`: the head on precomputed features, against a step that trains everything. `lora / full`: low-rank
adapters and the head. `kd / plain`: a student with precomputed teacher outputs, against the same student without a
teacher; for comparison also with the teacher running at every step. Prints medians of the ratios of neighbouring steps.
"""

import argparse
import copy
import time
from dataclasses import replace
from functools import partial

from side_by_side import ratio

BATCH, COUNT = 64, 640
BOUNDS = {"linear_probe": 0.1, "lora": 0.8, "kd": 1.1}


def case(name: str):
    """(network, examples): the CNN of loop.py on 28 x 28 pictures; MiniLM (random weights) on texts of 8 to 40 tokens."""
    import torch
    from torch import nn

    from xlearn.data.columns import Ragged
    from xlearn.data.task import Examples, ImageSpec, TextSpec
    from xlearn.encoders.cnn import Cnn
    from xlearn.encoders.minilm import VOCABULARY, MiniLm
    from xlearn.fusion.concat import Concat
    from xlearn.label_spaces.classes import Classes
    from xlearn.networks.network import Network

    torch.manual_seed(0)
    space = Classes("bench", tuple("0123456789"))
    if name == "cnn":
        modality, encoder = "image", Cnn(ImageSpec(1, 28, 28), widths=[32, 64, 64], dense=64)
        column = torch.randint(0, 256, (COUNT, 1, 28, 28), dtype=torch.uint8)
    else:
        modality, encoder = "text", MiniLm(TextSpec(VOCABULARY, 256, "bench"), weights=None)
        lengths = torch.randint(8, 41, (COUNT,)).tolist()
        column = Ragged.of([torch.randint(200, VOCABULARY, (each,), dtype=torch.int32) for each in lengths])
    examples = Examples({modality: column}, torch.arange(COUNT) % 10, torch.arange(COUNT), space)
    return Network({modality: encoder}, Concat({modality: encoder.width}), {space.key: nn.Linear(encoder.width, 10)}), examples


def task(examples):
    from xlearn.data.task import ImageSpec, Sealed, Task, TextSpec

    spec = ImageSpec(1, 28, 28) if "image" in examples.inputs else TextSpec(30522, 256, "bench")
    name = next(iter(examples.inputs))
    return Task("bench", {name: spec}, examples.space, examples, examples, examples, Sealed("bench", examples), "", "")


def stepping(network, examples, objective, batch, only=None):
    """Steps of `fit` in milliseconds; they train the parameters with a name prefix in `only` (None: all)."""
    import torch

    from xlearn.balance._equal import equal
    from xlearn.data.batches import Batches
    from xlearn.phases.fit import Update, fit
    from xlearn.runtime.machine import machine
    from xlearn.schedules._constant import constant
    from xlearn.trainable import Rate

    place = machine("cpu", "fp32", 1, multirun=False)
    rates = {name: Rate() for name, _ in network.named_parameters() if only is None or name.startswith(only)}
    update = Update([objective], rates, partial(torch.optim.Adam, lr=1e-4, fused=True), constant, equal)
    batches = Batches({"target": examples}, batch_size=batch, seed=0)
    return timed(fit(network, [update], batches, steps=10_000, seed=0, machine=place))


def timed(steps):
    """The next step of a generator of `fit`, in milliseconds."""

    def step() -> float:
        begun = time.perf_counter()
        next(steps)
        return 1000 * (time.perf_counter() - begun)

    return step


def main() -> None:
    import torch

    from xlearn.networks.evaluate import features
    from xlearn.objectives import PhaseContext
    from xlearn.objectives.distillation.kd import Kd
    from xlearn.objectives.supervised.cross_entropy import CrossEntropy
    from xlearn.phases.teacher_outputs import Teaching, with_outputs
    from xlearn.runtime.machine import machine
    from xlearn.sharing.lora import Lora
    from xlearn.sharing.together import Parts

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    place = machine("cpu", "fp32", 1, multirun=False)  # one thread, and the allocator of a run
    counts = {"target": torch.full((10,), COUNT // 10)}

    def told(name: str, which: str, base: str, found: tuple[float, float, float]) -> None:
        promised = f" (promised {BOUNDS[which]})" if which in BOUNDS else ""
        print(f"{name}: {which} / {base} = {found[0]:.3f}{promised}, {found[1]:.1f} and {found[2]:.1f} ms a step", flush=True)

    for name, batch in (("cnn", BATCH), ("minilm", 16)):
        network, examples = case(name)
        entropy = CrossEntropy(PhaseContext(network, frozenset(), counts))

        def full(network=network, examples=examples, entropy=entropy, batch=batch):
            return stepping(copy.deepcopy(network), examples, entropy, batch)

        probed = copy.deepcopy(network)
        known = examples.with_features(features(probed, examples, place).clone())
        told(name, "linear_probe", "full", ratio(stepping(probed, known, entropy, batch, ("head.",)), full(), given.rounds))
        adapted = copy.deepcopy(network)
        adapted.sharing = Parts([Lora(adapted, {"target": task(examples)}, rank=4, alpha=4.0, largest=0.5)])
        low_rank = stepping(adapted, examples, entropy, batch, ("head.", "sharing."))
        told(name, "lora", "full", ratio(low_rank, full(), given.rounds))
        teacher = copy.deepcopy(network)
        kd = Kd(PhaseContext(network, frozenset(), counts, (teacher,)))
        teaching = Teaching(teacher, {"source": {}, "target": {"target": replace(task(examples), train=examples)}})
        [taught] = with_outputs({"target": examples}, [teaching], frozenset({"logits"}), place).values()
        told(name, "kd", "plain", ratio(stepping(copy.deepcopy(network), taught, kd, batch), full(), given.rounds))
        running = stepping(copy.deepcopy(network), examples, kd, batch)
        told(name, "kd, the teacher running,", "plain", ratio(running, full(), given.rounds))


if __name__ == "__main__":
    main()
