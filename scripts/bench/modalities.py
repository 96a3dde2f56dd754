"""`fit` against a bare PyTorch loop, for each modality: the same network, batches and optimizer in both.

Both alternate within a process. The bare loop gathers from tensors padded beforehand and cut to the batch's longest
sequence; its batches are those of `fit`, with the same padding. Prints medians of pairwise ratios.
"""

import argparse
import statistics
import time
from functools import partial

BATCH, STEPS, WARM_UP = 64, 60, 10
BOUND = 1.1


def data(modality: str, count: int = 1500):
    """Examples of the size of the tasks: reviews of 10 to 128 tokens, recordings of 20 to 60 frames, pictures."""
    import torch

    from xlearn.data.columns import Ragged
    from xlearn.data.task import Examples
    from xlearn.label_spaces.classes import Classes

    torch.manual_seed(0)
    columns = {
        "image": torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8),
        "text": Ragged.of([torch.randint(2, 4000, (int(n),), dtype=torch.int32) for n in torch.randint(10, 129, (count,))]),
        "audio": Ragged.of([torch.randn(int(n), 64) for n in torch.randint(20, 61, (count,))]),
        "tabular": torch.randn(count, 12),
    }
    names = modality.split("+")
    space = Classes("bench", tuple("0123456789"))
    return Examples({name: columns[name] for name in names}, torch.arange(count) % 10, torch.arange(count), space)


def network(modality: str, space):
    import torch
    from torch import nn

    from xlearn.config.component import component
    from xlearn.config.folders import conf_folder, read_yaml
    from xlearn.data.task import AudioSpec, ImageSpec, TabularSpec, TextSpec
    from xlearn.fusion.concat import Concat
    from xlearn.networks.network import Network

    torch.manual_seed(0)
    specs = {
        "image": ("cnn", ImageSpec(1, 28, 28)),
        "text": ("lstm", TextSpec(4000, 128, "bench")),
        "audio": ("audio_cnn", AudioSpec(64, 8000, "bench")),
        "tabular": ("mlp", TabularSpec(tuple("abcdefghijkl"), "bench")),
    }
    encoders = {}
    for name in modality.split("+"):
        option, spec = specs[name]
        encoders[name] = component(read_yaml(conf_folder() / f"encoder/{name}/{option}.yaml"), f"encoder.{name}")(spec)
    fusion = Concat({name: each.width for name, each in encoders.items()})
    return Network(encoders, fusion, {space.key: nn.Linear(fusion.width, len(space.classes))})


def seconds(modality: str) -> dict[str, float]:
    """Seconds per step of `fit` and of the bare loop."""
    import torch

    from xlearn.balance._equal import equal
    from xlearn.data.batches import Batches
    from xlearn.data.columns import Ragged, Sequences
    from xlearn.objectives import PhaseContext
    from xlearn.objectives.supervised.cross_entropy import CrossEntropy
    from xlearn.phases.fit import Update, fit
    from xlearn.runtime.machine import machine
    from xlearn.schedules._constant import constant
    from xlearn.trainable import Rate

    place = machine("cpu", "fp32", 1, multirun=False)
    given = data(modality)
    fitted, bare = network(modality, given.space), network(modality, given.space)
    bare.to(memory_format=torch.channels_last)
    batches = Batches({"bench": given}, batch_size=BATCH, seed=0)
    orders = []
    for step in range(WARM_UP + STEPS):
        batches(step)
        _, order = batches._order["bench"]
        position = step % (len(given) // BATCH)
        orders.append(order[position * BATCH : (position + 1) * BATCH])
    padded = {
        name: column.take(torch.arange(len(given))) if isinstance(column, Ragged) else column
        for name, column in given.inputs.items()
    }

    def bare_loop() -> float:
        optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3, fused=True)
        bare.train()
        begun = 0.0
        for step, index in enumerate(orders):
            if step == WARM_UP:
                begun = time.perf_counter()
            tokens = {}
            for name, column in padded.items():
                if isinstance(column, Sequences):
                    mask = column.mask[index]
                    longest = int(mask.sum(1).max())
                    tokens[name] = bare.encoder[name](Sequences(column.values[index, :longest], mask[:, :longest]))
                else:
                    tokens[name] = bare.encoder[name](column[index])
            logits = bare.head[given.space.key](bare.fusion(tokens))
            loss = torch.nn.functional.cross_entropy(logits, given.labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - begun) / STEPS

    def fit_loop() -> float:
        objective = CrossEntropy(PhaseContext(fitted, frozenset(), {"bench": torch.bincount(given.labels)}))
        rates = {name: Rate() for name, _ in fitted.named_parameters()}
        update = Update([objective], rates, partial(torch.optim.Adam, lr=1e-3, fused=True), constant, equal)
        begun = 0.0
        for record in fit(fitted, [update], batches, steps=WARM_UP + STEPS, seed=0, machine=place):
            if record.step == WARM_UP:
                begun = time.perf_counter()
        return (time.perf_counter() - begun) / STEPS

    return {"fit": fit_loop(), "bare": bare_loop()}


def front_end() -> str:
    """Seconds for the log-mel frames of all spoken digits, without reading the files."""
    import torch

    from xlearn.data.columns import Ragged
    from xlearn.data.modalities.log_mel import log_mel
    from xlearn.data.tasks._fsdd import fsdd
    from xlearn.runtime.errors import Problem

    torch.set_num_threads(1)
    try:
        raw = fsdd()
    except Problem as problem:
        return f"log-mel: not measured ({problem})"
    waves = raw.inputs["audio"]
    assert isinstance(waves, Ragged) and raw.rate is not None
    begun = time.perf_counter()
    frames = log_mel(waves, raw.rate, 40, 0.025, 0.010)
    return f"log-mel: {len(waves)} clips to {len(frames.values)} frames in {time.perf_counter() - begun:.2f} s (promised 10)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(front_end(), flush=True)
    for modality in ("image", "text", "audio", "tabular", "image+text"):
        found = [seconds(modality) for _ in range(given.rounds)]
        ratios = sorted(each["fit"] / each["bare"] for each in found)
        step = [1000 * statistics.median(each[kind] for each in found) for kind in ("fit", "bare")]
        print(
            f"{modality}: fit / bare = {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f}; promised "
            f"{BOUND}), {step[0]:.2f} and {step[1]:.2f} ms a step",
            flush=True,
        )


if __name__ == "__main__":
    main()
