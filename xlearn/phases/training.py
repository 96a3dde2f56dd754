"""The training of one phase: builds its updates, batches and monitor, and runs the loop."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from xlearn.balance._equal import equal
from xlearn.batches import Beginning
from xlearn.data.reads import Roles, seed_word
from xlearn.data.task import Examples
from xlearn.networks.evaluate import features
from xlearn.networks.network import Network, load, tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.views import viewed
from xlearn.phases.encoder_cache import encode
from xlearn.phases.fit import fit
from xlearn.phases.monitor import Monitor
from xlearn.phases.normalization import NormalizationStatistics
from xlearn.phases.phase import (
    Phase,
    Setting,
    begun,
    begun_balance,
    counted,
    extra_updates,
    judges,
    rates,
    reading,
    steps,
)
from xlearn.phases.teacher_outputs import Teaching, validation, with_outputs
from xlearn.phases.update import Update
from xlearn.runtime import interrupt, progress
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import place


@dataclass(frozen=True)
class Computation:
    """Everything that determines the weights of a phase. `key`: its cache key."""

    network: Network
    phase: Phase
    roles: Roles
    copied: frozenset[str]
    key: str
    setting: Setting
    teachings: Sequence[Teaching]


@dataclass(frozen=True)
class Solution:
    """The weights that a phase returns, its report, and further weights to keep, by name."""

    weights: dict[str, Tensor]
    report: dict[str, Any]
    others: Mapping[str, dict[str, Tensor]]


class PhaseTraining:
    """One training of one phase."""

    def __init__(self, computation: Computation) -> None:
        network, phase, roles, setting = computation.network, computation.phase, computation.roles, computation.setting
        teachings = computation.teachings
        tasks = reading(phase, roles)
        self.network, self.phase, self.key, self.setting = network, phase, computation.key, setting
        judging = judges(phase, roles)
        self.before = tensors(network)
        trained = rates(phase, network, tasks)
        scored = {**judging, **tasks} if phase.trains_heads and phase.keeping.scores_tasks else judging
        scored = {role: task for role, task in scored.items() if task.labels.key in network.head}
        held = phase.batches.hold_out(phase.asked, tasks, scored, [*judging], setting.seed)
        read, valid = held.train, held.valid
        for each in teachings:
            # Same memory layout as a freshly trained network, so that a cached teacher is bit-identical.
            place(each.network, setting.machine)
        if teachings and not phase.runs_teachers:
            read = with_outputs(read, teachings, phase.needs.teacher, setting.machine)
        # A running teacher has other encoders, and intermediate outputs need a forward pass: precompute nothing then.
        inside = phase.runs_teachers or phase.needs.runs_encoders
        if not inside and not phase.augments.runs_encoders:
            read = self._encoded(read, trained)
        valid = self._encoded(valid, trained)
        if not (phase.augment or inside or phase.needs.raw_inputs) and all(name.startswith("head.") for name in trained):
            # Linear probe: all layers below the head are frozen, so the features are computed once.
            read = self._with_features(read)
            valid = self._with_features(valid)
        order = derive(setting.seed, seed_word(phase.reads), phase.position, "batches")
        # Distillation reads every task in every step: the teacher may not be able to read a sampled task. Mixed labels are of
        # one task.
        separate = bool(teachings) or phase.adapts or phase.augments.one_task
        beginning = Beginning(read, order, setting.machine.device, phase.augment, separate=separate, every=bool(teachings))
        self.batches = phase.batches.begin(beginning)
        sizes = [phase.batches.size(len(each)) for each in read.values()]
        size = sum(sizes) if phase.batches.every_role else max(sizes)
        self.statistics = NormalizationStatistics(
            setting.statistics, network, read, phase.adapts, self.before, size, setting.seed, setting.machine
        )
        self.steps = steps(phase, self.batches.steps_per_epoch)
        self.teachers = teachers = tuple(each.network for each in teachings)
        losses = validation(teachings, setting.machine) if "validation" in phase.needs.teacher else None
        view = partial(viewed, views=phase.views)
        context = PhaseContext(
            network, computation.copied, counted(tasks), teachers, self.steps, tasks, losses, view, **held.extra
        )
        balance = begun_balance(phase, context)
        objectives = begun(phase, context)
        own = Update(objectives, trained, phase.optimizer, phase.schedule, balance, phase.clip)
        later = [
            Update(
                [extra],
                {name: rate for name, rate in trained.items() if extra.moves(name)},
                phase.optimizer,
                phase.schedule,
                equal,
                phase.clip,
            )
            for extra in extra_updates(own.losses)
        ]
        self.updates = [own, *later]
        further = self._encoded(phase.keeping.examples(tasks, roles, phase.modalities, setting.seed), trained)
        checkpoints = phase.keeping.begin(network, further, setting.metric, setting.seed, setting.machine)
        scores = {name: partial(score, network, valid, setting.metric, setting.machine) for name, score in held.scores.items()}
        self.monitor = Monitor(
            network, phase, own, tasks, held.judges, scores, held.spaces, setting, self.steps, checkpoints, self.statistics
        )
        self.seconds = 0.0

    def _with_features(self, read: Mapping[str, Examples]) -> dict[str, Examples]:
        machine = self.setting.machine
        return {role: each.with_features(features(self.network, each, machine)) for role, each in read.items()}

    def _encoded(self, read: Mapping[str, Examples], trained: Mapping[str, Any]) -> dict[str, Examples]:
        """The examples with the outputs of the pretrained encoders that this phase does not train."""
        still = (self.setting.pretrained & self.network.encoder.keys()) - self.network.moving(trained)
        return {role: encode(self.network, each, sorted(still), self.setting.machine) for role, each in read.items()}

    def compute(self) -> Solution:
        """Train the phase."""
        setting, phase, monitor = self.setting, self.phase, self.monitor
        saved = setting.cache.read_state(self.key)
        state = None
        if saved is not None:
            state, self.seconds = saved["fit"], saved["seconds"]
            monitor.restore(saved)
        setting.machine.reset_peak()
        began = clock = time.monotonic()
        done = state["step"] if state else 0
        seed = derive(setting.seed, seed_word(phase.reads), phase.position, "random")
        loop = fit(self.network, self.updates, self.batches, steps=self.steps, seed=seed, machine=setting.machine, state=state)
        with progress.bar(phase.name, done, self.steps) as bar:
            for record in loop:
                bar.update()
                done = record.step
                monitor.note(record)
                if monitor.due(done) and monitor.look(record, bar):
                    break
                now = time.monotonic()
                if interrupt.asked() or now - clock > setting.checkpoint_seconds:
                    clock = now
                    beside = {"fit": record.state(), "seconds": self.seconds + now - began}
                    setting.cache.write_state(self.key, {**beside, **monitor.state()})
                    if (number := interrupt.asked()) is not None:
                        raise Interrupted(f"stopped in phase {phase.name} at step {done} of {self.steps}", number)
        weights, kept_step = monitor.checkpoints.kept(done)
        weights, statistics = self._finished(weights, done)
        need_finite(weights, phase.name, done)
        report = {
            "steps": done,
            "kept_step": kept_step,
            "seconds": self.seconds + time.monotonic() - began,
            "peak_memory": setting.machine.peak_memory(),
            "records": monitor.records,
            **monitor.checkpoints.report(),
            **statistics,
            **_note(monitor.records),
        }
        others = {name: self._finished(each, done)[0] for name, each in monitor.checkpoints.kept_by_name().items()}
        # The next phase must not see the hooks and memos of this phase.
        self.network.seen.clear()
        for each in (self.network, *self.teachers):
            each.listening = []
        return Solution(weights, report, others)

    def _finished(self, weights: Mapping[str, Tensor], steps: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(the weights that the phase returns for selected ones: merged, then with the statistics of normalisation, the part of
        its report)."""
        load(self.network, self.phase.merge(self.before, weights))
        # Episodes estimate the statistics of their own examples.
        finished = self.batches.finish(self.network, self.setting.machine)
        report = {} if finished else self.statistics.finish(steps)
        return tensors(self.network), report


def _note(records: list[dict[str, Any]]) -> dict[str, str]:
    """A note for the run's summary: classes without pseudo-labels, layers that cannot be vectorised, a collapsed embedding."""
    last = records[-1] if records else {}
    if without := ", ".join(last.get("missing_classes", [])):
        return {"note": f"no unlabelled example is taken for {without} by the last pseudo-labels"}
    if why := last.get("not_vectorised"):
        return {"note": f"inner loops go one task after the other, because a layer cannot be vectorised ({why})"}
    if points := [each for each in last.get("embedding", {}).values() if each["collapsed"]]:
        told = f"spread {points[0]['spread']:.2g}, rank {points[0]['rank']:.1f} of {points[0]['width']}"
        return {"note": f"the embedding has collapsed ({told}): examples lie on one point. Train longer, or lower optimizer.lr"}
    return {}


def need_finite(weights: Mapping[str, Tensor], phase: str, steps: int) -> None:
    """Raise `Problem` for a weight that is not finite."""
    if broken := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise Problem(f"{broken[0]} is no longer finite after phase {phase} ({steps} steps). Lower optimizer.lr (try a tenth).")
