"""The overhead of adaptation methods: steps of `fit` against bare steps with the same passes through the network, in turns.

A bare step gathers the same batches (64 source, 64 target, of the CNN of loop.py), runs the same forward and backward passes
and an optimizer. It computes no adaptation loss, but cross-entropy on the source and the sum of the target's features. For
methods with several passes over the target (views, several updates) the bare step has as many. Prints medians of the ratios
of neighbouring steps, on one thread.
"""

import argparse
import copy
import importlib
from dataclasses import replace
from functools import partial

from side_by_side import ratio
from transfer import BATCH, case, task, timed

BOUND = 1.1
SOURCE, TARGET, LOOK = "source", "target", "look"
# By method: module, class, and its passes (look: without gradient).
ONE = (SOURCE, TARGET)
METHODS = {
    "coral": ("coral", "Coral", ONE), "mmd": ("mmd", "Mmd", ONE), "jan": ("jan", "Jan", ONE),
    "deepjdot": ("deepjdot", "DeepJdot", ONE), "dann": ("dann", "Dann", ONE), "cdan": ("cdan", "Cdan", ONE),
    "mdd": ("mdd", "Mdd", ONE), "mcc": ("mcc", "Mcc", ONE), "afn": ("afn", "Afn", ONE),
    "entropy_min": ("entropy_min", "EntropyMin", ONE), "pseudo_label": ("pseudo_label", "PseudoLabel", ONE),
    "fixmatch": ("fixmatch", "FixMatch", (SOURCE, LOOK, TARGET)),
    "mean_teacher": ("mean_teacher", "MeanTeacher", (SOURCE, LOOK, TARGET)),
    "mcd": ("mcd", "Mcd", (SOURCE, LOOK, "look source", TARGET)),
}  # fmt: skip


def tasks(examples):
    """The same pictures as a source with labels and as a target without."""
    from xlearn.data.unlabeled import UNLABELED, hidden

    source = task(replace(examples, task="source"))
    target = replace(task(examples), train=examples.subset(examples.rows[:0]), unlabeled=examples)
    return {"source": source, UNLABELED: hidden(target)}


def reader(found):
    from xlearn.data.batches import Batches

    return Batches({role: each.train for role, each in found.items()}, batch_size=BATCH, seed=0)


def adapting(network, found, module: str, name: str):
    """Steps of `fit` with the method as a penalty, in milliseconds."""
    import torch

    from xlearn.balance._equal import equal
    from xlearn.objectives import PhaseContext
    from xlearn.objectives.supervised.cross_entropy import CrossEntropy
    from xlearn.phases.fit import Update, fit
    from xlearn.phases.phase import counted, extra_updates
    from xlearn.runtime.machine import machine
    from xlearn.schedules._constant import constant
    from xlearn.trainable import Rate

    context = PhaseContext(network, frozenset(), counted(found), steps=10_000, tasks=found)
    method = getattr(importlib.import_module(f"xlearn.objectives.{module}"), name)(context)
    rates = {name: Rate() for name, _ in network.named_parameters()}
    optimizer = partial(torch.optim.Adam, lr=1e-5, fused=True)
    updates = [Update([CrossEntropy(context), method], rates, optimizer, constant, equal)]
    for extra in extra_updates([method]):
        moved = {name: rate for name, rate in rates.items() if extra.moves(name)}
        updates.append(Update([extra], moved, optimizer, constant, equal))
    place = machine("cpu", "fp32", 1, multirun=False)
    return timed(fit(network, updates, reader(found), steps=10_000, seed=0, machine=place))


def bare(network, found, passes):
    """Steps with these passes and without a method, in milliseconds."""
    import torch
    from torch.nn import functional

    from xlearn.data.unlabeled import UNLABELED
    from xlearn.runtime.machine import machine, place

    place(network, machine("cpu", "fp32", 1, multirun=False))
    batches = reader(found)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5, fused=True)

    def steps():
        number = 0
        network.train()
        while True:
            given = batches(number, network)
            losses = []
            for each in passes:
                role = UNLABELED if each in (TARGET, LOOK) else "source"
                batch = replace(given[role], memo=None)
                if each.startswith(LOOK):
                    with torch.no_grad():
                        network.features(batch)
                elif each == SOURCE:
                    losses.append(functional.cross_entropy(network(batch), batch.labels))
                else:
                    losses.append(network.features(batch).sum())
            torch.stack(losses).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            number += 1
            yield

    return timed(steps())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="these methods")
    given = parser.parse_args()
    network, examples = case("cnn")
    found = tasks(examples)
    for name in given.only or METHODS:
        module, made, passes = METHODS[name]
        other = bare(copy.deepcopy(network), found, passes)
        mine, one, two = ratio(adapting(copy.deepcopy(network), found, module, made), other, given.rounds)
        print(f"{name} / its bare passes = {mine:.3f} (promised {BOUND}), {one:.1f} and {two:.1f} ms a step", flush=True)


if __name__ == "__main__":
    main()
