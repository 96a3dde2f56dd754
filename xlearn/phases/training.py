"""The training of one phase: builds its updates, batches and monitor, and runs the loop."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor
from tqdm import tqdm

from xlearn.balance._equal import equal
from xlearn.data.augment import holds
from xlearn.data.batches import Batches
from xlearn.data.episodes import Episodes
from xlearn.data.task import Examples, Task
from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import Network, load, tensors
from xlearn.networks.statistics import estimated
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.views import viewed
from xlearn.phases.checkpoints_by_rule import Candidates, splits
from xlearn.phases.encoder_cache import encode
from xlearn.phases.few_shot import Validation
from xlearn.phases.fit import Update, fit
from xlearn.phases.monitor import Monitor
from xlearn.phases.phase import (
    Phase,
    Roles,
    Setting,
    begun,
    begun_balance,
    changes_inputs,
    counted,
    extra_updates,
    judges,
    lessons,
    looks_inside,
    rates,
    reading,
    runs_teacher,
    steps,
    trains_heads,
)
from xlearn.phases.teacher_outputs import Teaching, validation, with_lessons
from xlearn.runtime import interrupt
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import place


class PhaseTraining:
    """One training of one phase."""

    def __init__(
        self,
        network: Network,
        phase: Phase,
        roles: Roles,
        copied: frozenset[str],
        key: str,
        setting: Setting,
        teachings: Sequence[Teaching],
    ) -> None:
        tasks = reading(phase, roles)
        self.network, self.phase, self.key, self.setting = network, phase, key, setting
        judging = judges(phase, roles)
        self.before = tensors(network) if phase.merge is not None else {}
        trained = rates(phase, network, tasks)
        read = {role: task.train for role, task in tasks.items()}
        # Adaptation phases have selection rules instead of validation scores.
        judged = (judging if phase.adapts or not trains_heads(phase) else {**judging, **tasks}).items()
        valid = {role: task.val for role, task in judged if len(task.val) and task.labels.key in network.head}
        self.learner = None if phase.base_learner is None else phase.base_learner()
        held = None if phase.base_learner is None else Validation(phase, tasks, setting.seed)
        if held is not None:
            read, valid = held.train, {}
        augment = phase.augment
        for each in teachings:
            # Same memory layout as a freshly trained network, so that a cached teacher is bit-identical.
            place(each.network, setting.machine)
        running = bool(teachings) and runs_teacher(phase)
        if teachings and not running:
            read = with_lessons(read, teachings, lessons(phase), setting.machine)
        # A running teacher has other encoders, and intermediate outputs need a forward pass: precompute nothing then.
        inside = running or looks_inside(phase) or changes_inputs(phase)
        if not inside and all(holds("keeps_inputs", each) for each in augment):
            read = self._encoded(read, trained)
        valid = self._encoded(valid, trained)
        if held is not None:
            held.held = self._encoded(held.held, trained)
        looks = held is not None or any(getattr(each.func, "reads_inputs", False) for each in phase.objectives)
        if not (augment or inside or looks) and all(name.startswith("head.") for name in trained):
            # Linear probe: all layers below the head are frozen, so the features are computed once.
            read = self._with_features(read)
            valid = self._with_features(valid)
        order = derive(setting.seed, phase.reads, phase.position, "batches")
        device = setting.machine.device
        self.batches: Batches | Episodes
        if phase.kind is not None:
            self.batches = Episodes(read, phase.kind, seed=order, device=device, augment=augment)
        else:
            self.batches = self._whole_batches(read, order, bool(teachings))
        self.steps = steps(phase, self.batches.steps_per_epoch)
        self.teachers = teachers = tuple(each.network for each in teachings)
        weighs = any(each.keywords.get("combine") == "validation" for each in phase.objectives)
        losses = validation(teachings, setting.machine) if weighs else None
        view = partial(viewed, views=phase.views)
        context = PhaseContext(
            network, copied, counted(tasks), teachers, self.steps, tasks, losses, view, self.learner, phase.kind
        )
        balance = begun_balance(phase, context)
        objectives = begun(phase, context)
        own = Update(objectives, trained, phase.optimizer, phase.schedule, balance)
        later = [
            Update(
                [extra],
                {name: rate for name, rate in trained.items() if extra.moves(name)},
                phase.optimizer,
                phase.schedule,
                equal,
            )
            for extra in extra_updates(objectives)
        ]
        self.updates = [own, *later]
        candidates = self._candidates(roles, tasks, trained) if phase.adapts else None
        judged_by = {role: partial(self._score, each) for role, each in valid.items()}
        named, spaces = [*judging], {role: each.space for role, each in valid.items()}
        if held is not None and held.judged_by is not None:
            judged_by = {"episodes": partial(held.score, network, self.learner, setting.metric, setting.machine)}
            spaces = {"episodes": next(iter(held.held.values())).space}
            named = ["episodes"] if phase.keep != "last" or phase.patience is not None else []
        self.monitor = Monitor(network, phase, own, tasks, named, judged_by, spaces, setting, self.steps, candidates)
        self.seconds = 0.0

    def _whole_batches(self, read: Mapping[str, Examples], seed: int, taught: bool) -> Batches:
        phase = self.phase
        mixes = any(holds("mixes_labels", each) for each in phase.augment)  # mixed labels are of one task
        return Batches(
            read,
            batch_size=phase.batch_size,
            seed=seed,
            balanced=phase.balanced,
            augment=phase.augment,
            device=self.setting.machine.device,
            common=phase.common and not taught and not phase.adapts and not mixes,
            # Distillation reads every task in every step: the teacher may not be able to read a sampled task.
            tasks="all" if taught else phase.tasks,
            temperature=phase.temperature,
        )

    def _score(self, examples: Examples) -> float:
        """The metric of `examples` with the network's current weights."""
        machine, space = self.setting.machine, examples.space
        return space.score(space.own_metric(self.setting.metric), logits(self.network, examples, machine), examples.labels)

    def _candidates(self, roles: Roles, tasks: Mapping[str, Task], trained: Mapping[str, Any]) -> Candidates:
        """The examples that score the candidates of an adaptation phase, restricted to the phase's modalities."""
        target = roles["target"]["target"]
        target = reading(replace(self.phase, reads="target"), {"target": {"target": target}})["target"]
        given = splits(tasks, target.val, self.setting.seed)
        return Candidates(self.network, self._encoded(given, trained), self.setting)

    def _with_features(self, read: Mapping[str, Examples]) -> dict[str, Examples]:
        machine = self.setting.machine
        return {role: each.with_features(features(self.network, each, machine)) for role, each in read.items()}

    def _encoded(self, read: Mapping[str, Examples], trained: Mapping[str, Any]) -> dict[str, Examples]:
        """The examples with the outputs of the pretrained encoders that this phase does not train."""
        still = (self.setting.pretrained & self.network.encoder.keys()) - self.network.moving(trained)
        return {role: encode(self.network, each, sorted(still), self.setting.machine) for role, each in read.items()}

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, dict[str, Tensor]]]:
        """Train the phase. Returns its final weights, its report, and the additional weights that are kept, by name."""
        setting, phase, monitor = self.setting, self.phase, self.monitor
        saved = setting.cache.read_state(self.key)
        state = None
        if saved is not None:
            state, self.seconds = saved["fit"], saved["seconds"]
            monitor.restore(saved)
        setting.machine.reset_peak()
        began = clock = time.monotonic()
        done = state["step"] if state else 0
        bar = tqdm(total=self.steps, initial=done, desc=phase.name, unit="step", disable=None, leave=False)
        seed = derive(setting.seed, phase.reads, phase.position, "random")
        loop = fit(self.network, self.updates, self.batches, steps=self.steps, seed=seed, machine=setting.machine, state=state)
        with bar:
            for record in loop:
                bar.update()
                done = record.step
                monitor.note(record)
                if monitor.due(done) and monitor.look(done, self.batches, bar):
                    break
                now = time.monotonic()
                if interrupt.asked() or now - clock > setting.checkpoint_seconds:
                    clock = now
                    beside = {"fit": record.state(), "seconds": self.seconds + now - began}
                    setting.cache.write_state(self.key, {**beside, **monitor.state()})
                    if (number := interrupt.asked()) is not None:
                        raise Interrupted(f"stopped in phase {phase.name} at step {done} of {self.steps}", number)
        weights, kept_step = monitor.kept(done)
        if isinstance(self.batches, Episodes):  # episodes leave BatchNorm statistics untouched: re-estimate them
            load(self.network, weights)
            estimated(self.network, self.batches.examples, setting.machine)
            weights = tensors(self.network)
        if phase.merge is not None:
            weights = phase.merge(self.before, weights)
        need_finite(weights, phase.name, done)
        report = {
            "steps": done,
            "kept_step": kept_step,
            "seconds": self.seconds + time.monotonic() - began,
            "peak_memory": setting.machine.peak_memory(),
            "records": monitor.records,
            **monitor.selected(),
            **_note(monitor.records),
        }
        others = monitor.kept_by_name()
        if phase.merge is not None:
            others = {name: phase.merge(self.before, each) for name, each in others.items()}
        # The next phase must not see the hooks and memos of this phase.
        self.network.seen.clear()
        for each in (self.network, *self.teachers):
            each.listening = []
        return weights, report, others


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
