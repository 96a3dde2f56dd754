"""Phases: the one builder of them, solving them, stopping them, and the loop without the rest."""

import io
import math
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from toys.networks import image_network
from toys.tasks import blobs_task, shifted_tasks
from xlearn.averaging import _trained
from xlearn.balance._equal import equal
from xlearn.batches import Batches, Episodes
from xlearn.config.renamed import READS
from xlearn.data import batches as sources_of_batches
from xlearn.data.episodes import Kind
from xlearn.data.reads import ADAPTS
from xlearn.data.task import Examples, Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network, tensors
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases import training
from xlearn.phases.checkpoints_by_rule import keeping_by
from xlearn.phases.fit import fit
from xlearn.phases.phase import Phase, Setting
from xlearn.phases.solve import solve as solve_phase
from xlearn.phases.solving import ClosedForm, GradientDescent
from xlearn.phases.update import Update
from xlearn.runtime import interrupt
from xlearn.runtime.cache import Cache, Entry, weights_digest
from xlearn.runtime.machine import Machine
from xlearn.runtime.needs import Needs
from xlearn.schedules._constant import constant
from xlearn.trainable import Rate
from xlearn.trainable._frozen import frozen

CPU = Machine(torch.device("cpu"), "fp32", 1)
Solved = tuple[Network, Entry, list]


def phase(
    *, reads: str | tuple[str, ...] = "target", batch_size: int = 16, balanced: bool = False, tasks: Any = "all",
    temperature: float = 1.0, common: bool = True, base_learner: Any = None, kind: Kind | None = None, keep: str = "last",
    solver: Any = None, **values: Any,
) -> Phase:  # fmt: skip
    """A phase; `reads` may be one of the old words, which stand for lists of views."""
    views = READS[reads] if isinstance(reads, str) else reads
    sampling: Any = "balanced" if balanced else "shuffled"
    batches: Any = (
        Batches(None, batch_size=batch_size, sampling=sampling, tasks=tasks, temperature=temperature, common=common)
        if kind is None
        else Episodes(base_learner, **asdict(kind))
    )
    defaults = {
        "name": "learn", "position": 0, "modalities": None, "trainable": partial(frozen, patterns=[]),
        "teachers": (), "restarts": False, "merge": partial(_trained.trained), "views": (),
        "objectives": (partial(CrossEntropy),), "clip": math.inf,
        "balance": partial(equal), "optimizer": partial(torch.optim.Adam, lr=0.01, fused=True),
        "schedule": partial(constant), "augment": (), "epochs": None, "steps": 40, "patience": None, "stop_below": None,
        "reads": views, "batches": batches, "keeping": keeping_by(keep, ADAPTS in views),
        "solver": GradientDescent() if solver is None else ClosedForm(solver),
    }  # fmt: skip
    return Phase(**{**defaults, **values})


class Unsure(Objective):
    """The mean entropy of the predictions on unlabelled examples, without any family of the package."""

    needs = Needs(labels=False, unlabeled=True)

    def __init__(self, context: PhaseContext, *, weight: float) -> None:
        self.weight = weight

    def __call__(self, network: Network, batches: Any) -> dict[str, Tensor]:
        logs = network(batches[UNLABELED]).float().log_softmax(1)
        return {"entropy_min": self.weight * -(logs.exp() * logs).sum(-1).mean()}


def adapting(**values: Any) -> Phase:
    """Cross-entropy of what has labels, and the entropy of what has none."""
    objectives = (partial(CrossEntropy), partial(Unsure, weight=0.5))
    return phase(**{"name": "adapt", "reads": "everything", "objectives": objectives, **values})


def setting_in(folder: Path, **options: Any) -> Setting:
    lines: list = []
    values = {
        "seed": 0, "machine": CPU, "cache": Cache(folder), "metric": "accuracy", "evaluations": 5, "statistics": "exact",
        "checkpoint_seconds": 1e9, "forced": None, "pretrained": frozenset(), "report": lines.append,
    }  # fmt: skip
    return Setting(**{**values, **options})


def alone(given: Task) -> dict[str, dict[str, Task]]:
    """A target without sources."""
    return {"source": {}, "target": {"target": given}}


def solve(
    folder: Path,
    which: Phase,
    *,
    given: Task | None = None,
    roles: dict | None = None,
    network: Network | None = None,
    **options: Any,
) -> Solved:
    """(the network afterwards, the entry, the lines that were reported)."""
    roles = roles or alone(given or blobs_task())
    network = network or image_network(roles["target"]["target"].train)
    lines: list = []
    setting = setting_in(folder, **{"report": lines.append, **options})
    entry = solve_phase(network, which, roles, frozenset(), weights_digest(tensors(network)), setting)
    return network, entry, lines


def solve_adapting(
    folder: Path, which: Phase, roles: dict | None = None, network: Network | None = None, **options: Any
) -> Solved:
    """Of a target without labels unless `roles` say otherwise."""
    return solve(folder, which, roles=roles or shifted_tasks(), network=network, **options)


@contextmanager
def stopped_at(step: int) -> Iterator[None]:
    """Within, SIGINT comes after this step of a phase."""

    def stopping(*arguments: Any, **options: Any) -> Iterator[Any]:
        for record in fit(*arguments, **options):
            if record.step == step:
                os.kill(os.getpid(), signal.SIGINT)
            yield record

    with pytest.MonkeyPatch.context() as patched, interrupt.listening():
        patched.setattr(training, "fit", stopping)
        yield


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether all tensors of two mappings have the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def target_batches(given: Examples, batch_size: int = 16, **options: Any) -> sources_of_batches.Batches:
    return sources_of_batches.Batches({"target": given}, batch_size=batch_size, seed=3, **options)


def adam_update(objectives: list, rates: dict, lr: float = 0.01) -> Update:
    return Update(objectives, rates, partial(torch.optim.Adam, lr=lr, fused=True), constant, equal)


def every_rate(network: Network, but: str | tuple[str, ...] = ()) -> dict[str, Rate]:
    """All parameters train, but those whose names begin so."""
    return {name: Rate() for name, _ in network.named_parameters() if not name.startswith(but)}


def stepped(
    network: Network, updates: Sequence[Update], batches: Any, steps: int, state: dict | None = None, stop: int | None = None
) -> tuple[list[dict[str, float]], dict | None]:
    """The loop alone: the losses of each step, and the state saved at `stop`, where it ends."""
    losses, saved = [], None
    for record in fit(network, list(updates), batches, steps=steps, seed=1, machine=CPU, state=state):
        losses.append({name: float(loss) for name, loss in record.losses.items()})
        if record.step == stop:
            torch.save(record.state(), buffer := io.BytesIO())
            saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
            break
    return losses, saved


def trained(
    context: PhaseContext, net: Network, objective: torch.nn.Module, steps: int, state: dict | None = None, stop: int = 0
) -> tuple[dict[str, Tensor], list[dict[str, float]], dict | None]:
    """All parameters but the heads' are trained: (network and objective afterwards, losses, the state saved at `stop`)."""
    batches = sources_of_batches.Batches({role: each.train for role, each in context.tasks.items()}, batch_size=16, seed=3)
    losses, saved = stepped(net, [adam_update([objective], every_rate(net, "head."), lr=0.003)], batches, steps, state, stop)
    return {**tensors(net), **{f"own.{name}": value for name, value in tensors(objective).items()}}, losses, saved


def played(
    context: PhaseContext, network: Network, objectives: list, extras: Sequence[Any] = (), *, steps: int = 3,
    state: dict | None = None, stop: int | None = None,
) -> tuple[set[str], list[dict[str, float]], dict | None]:  # fmt: skip
    """With extra updates in a step: (names of the parameters that moved, losses, the state saved at `stop`)."""
    rates = every_rate(network)
    updates = [adam_update(objectives, rates)]
    updates += [adam_update([extra], {name: rate for name, rate in rates.items() if extra.moves(name)}) for extra in extras]
    batches = sources_of_batches.Batches({role: task.train for role, task in context.tasks.items()}, batch_size=16, seed=3)
    before = tensors(network)
    losses, saved = stepped(network, updates, batches, steps, state, stop)
    return {name for name, value in tensors(network).items() if not torch.equal(before[name], value)}, losses, saved
