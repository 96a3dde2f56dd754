"""`fit` against a bare PyTorch loop with the same settings, and against a plain loop with torch's defaults.

`fit` and the bare loop alternate within a process; the plain loop runs in separate processes, in alternation too, because
the allocator's settings cannot be reset. Prints medians of pairwise ratios, and each loop's accuracy on held-out digits.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial

STEPS, WARM_UP, BATCH, TURNS = 150, 30, 64, 4
BOUNDS = {("cnn", "bare"): 1.05, ("mlp", "bare"): 1.15, ("cnn", "plain"): 0.65, ("mlp", "plain"): 0.85}


def measure(kind: str, model: str) -> dict[str, dict[str, float]]:
    """Milliseconds per step and accuracy: of `fit` and `bare` (a run's settings), or of `plain` (torch's defaults)."""
    import torch

    from xlearn.data.options import TaskOptions
    from xlearn.data.splits import split
    from xlearn.data.task import Examples
    from xlearn.data.tasks._mnist5k import mnist5k
    from xlearn.label_spaces.classes import Classes
    from xlearn.networks.evaluate import logits
    from xlearn.runtime.machine import machine

    torch.set_num_threads(1)
    raw = mnist5k()
    rows = split(raw, TaskOptions(), 0, "mnist5k")
    images, labels = raw.inputs["image"], raw.labels
    assert isinstance(images, torch.Tensor)
    torch.manual_seed(0)
    if kind == "plain":
        network = plain_network(model)
        floats = (images.float() / 255 - 0.5) / 0.5
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        took = bare_loop(network, floats[rows.train], labels[rows.train], optimizer)
        with torch.inference_mode():
            predicted = network.eval()(floats[rows.test]).argmax(1)
        return {"plain": result([took], predicted, labels[rows.test])}
    place = machine("cpu", "fp32", 1, multirun=False)
    whole = Examples({"image": images}, labels, torch.arange(len(labels)), Classes("digits", raw.classes))
    train, test = whole.subset(rows.train), whole.subset(rows.test)
    seconds: dict[str, list[float]] = {"fit": [], "bare": []}
    predicted = {}
    for attempt in range(TURNS):
        fitted, bare = our_network(model, whole), our_network(model, whole).to(memory_format=torch.channels_last)
        order = ["fit", "bare"] if attempt % 2 else ["bare", "fit"]
        for loop in order:
            if loop == "fit":
                seconds[loop].append(fit_loop(fitted, train, place))
            else:
                optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3, fused=True)
                call = torch.nn.Sequential(*blocks(bare, model))
                seconds[loop].append(bare_loop(call, train.inputs["image"], train.labels, optimizer))
        predicted = {"fit": logits(fitted, test, place).argmax(1), "bare": logits(bare, test, place).argmax(1)}
    return {loop: result(seconds[loop], predicted[loop], test.labels) for loop in seconds}


def result(seconds: list[float], predicted, labels) -> dict[str, float]:
    """The median time of a step, and the accuracy."""
    return {"milliseconds": statistics.median(seconds) * 1000, "accuracy": float((predicted == labels).double().mean())}


def bare_loop(network, images, labels, optimizer) -> float:
    """Seconds per step of a standard PyTorch loop over tensors in memory."""
    import torch
    from torch.nn import functional

    network.train()
    order = torch.cat([torch.randperm(len(labels)) for _ in range(2 + (STEPS + WARM_UP) * BATCH // len(labels))])
    begun = 0.0
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            begun = time.perf_counter()
        index = order[step * BATCH : (step + 1) * BATCH]
        loss = functional.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - begun) / STEPS


def fit_loop(network, train, place) -> float:
    """Seconds per step of `fit`, called as in a run."""
    import torch

    from xlearn.balance._equal import equal
    from xlearn.data.batches import Batches
    from xlearn.objectives import PhaseContext
    from xlearn.objectives.supervised.cross_entropy import CrossEntropy
    from xlearn.phases.fit import Update, fit
    from xlearn.schedules._constant import constant
    from xlearn.trainable import Rate

    objective = CrossEntropy(PhaseContext(network, frozenset(), {"digits": torch.bincount(train.labels)}))
    rates = {name: Rate() for name, _ in network.named_parameters()}
    update = Update([objective], rates, partial(torch.optim.Adam, lr=1e-3, fused=True), constant, equal)
    batches = Batches({"digits": train}, batch_size=BATCH, seed=0)
    begun = 0.0
    for record in fit(network, [update], batches, steps=WARM_UP + STEPS, seed=0, machine=place):
        if record.step == WARM_UP:
            begun = time.perf_counter()
    return (time.perf_counter() - begun) / STEPS


def our_network(model, whole):
    from torch import nn

    from xlearn.data.task import ImageSpec
    from xlearn.encoders.cnn import Cnn
    from xlearn.encoders.mlp import Mlp
    from xlearn.fusion.concat import Concat
    from xlearn.networks.network import Network

    spec = ImageSpec(1, 28, 28)
    encoder = Cnn(spec, widths=[32, 64, 64], dense=64) if model == "cnn" else Mlp(spec, widths=MLP_WIDTHS)
    heads = {whole.space.key: nn.Linear(encoder.width, 10)}
    return Network({"image": encoder}, Concat({"image": encoder.width}), heads)


MLP_WIDTHS = [256, 128]  # about 2 ms a step


def blocks(network, model):
    from torch import nn

    encoder = network.encoder["image"]
    return [encoder.pixels, *([nn.Flatten()] if model == "mlp" else []), *encoder.blocks, *network.head.values()]


def plain_network(model):
    """As in tutorials: contiguous memory, the activation before the pooling."""
    from torch import nn

    if model == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
        )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", nargs=2, metavar=("LOOP", "MODEL"))
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    for model in ("cnn", "mlp"):
        found: dict[str, list[dict[str, float]]] = {"fit": [], "bare": [], "plain": []}
        for _ in range(given.rounds):
            ours = json.loads(run("ours", model))
            found["fit"].append(ours["fit"])
            found["bare"].append(ours["bare"])
            found["plain"].append(json.loads(run("plain", model))["plain"])
        for other in ("bare", "plain"):
            pairs = zip(found["fit"], found[other], strict=True)
            ratios = sorted(one["milliseconds"] / two["milliseconds"] for one, two in pairs)
            step = [statistics.median(each["milliseconds"] for each in found[kind]) for kind in ("fit", other)]
            accuracy = [statistics.mean(each["accuracy"] for each in found[kind]) for kind in ("fit", other)]
            print(
                f"{model}: fit / {other} = {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f}; "
                f"promised {BOUNDS[model, other]}), {step[0]:.2f} and {step[1]:.2f} ms a step, "
                f"accuracy {accuracy[0]:.3f} and {accuracy[1]:.3f}",
                flush=True,
            )


def run(kind: str, model: str) -> str:
    command = [sys.executable, __file__, "--measure", kind, model]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
