"""How a phase is solved: once, through the cache, and going on where it was interrupted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import isclass
from typing import Any

from tqdm import tqdm

from xlearn import interrupt
from xlearn.augment.mixup import mixup
from xlearn.augment.modality_dropout import modality_dropout
from xlearn.batches import Batches
from xlearn.cache import Entry, weights_digest
from xlearn.errors import Interrupted, Problem
from xlearn.evaluate import features
from xlearn.fit import Update, fit
from xlearn.frozen import encode
from xlearn.hashing import code_digest, derive, digest
from xlearn.lessons import Teaching, validation, with_lessons
from xlearn.machine import place
from xlearn.network import Network, load, tensors
from xlearn.objectives import Start
from xlearn.phase import (
    Phase,
    Roles,
    Setting,
    begun,
    begun_balance,
    counted,
    judges,
    lessons,
    looks_inside,
    rates,
    reading,
    runs_teacher,
    steps,
)
from xlearn.task import Examples
from xlearn.watch import Watch


def solve(
    network: Network,
    phase: Phase,
    roles: Roles,
    copied: frozenset[str],
    incoming: str,
    setting: Setting,
    teachings: Sequence[Teaching] = (),
) -> Entry:
    """Bring `network` (in place) to where the phase leaves it: from the cache if it was computed before.

    `roles` are all tasks; the phase reads those of its role, and its judges may select (`keep`). `incoming` is the digest
    of the weights the network has; `teachings` are those who teach the phase.
    Raises `Interrupted` after saving, and `Problem` for a loss that is not finite.
    """
    read = reading(phase, roles)
    # How tasks are weighed and drawn says nothing where there is only one.
    alone = {"balance": None, "joint": None} if len(read) < 2 else {}
    document = {
        "phase": {**phase.document, **alone},
        "network": network.document,
        "incoming": incoming,
        "copied": sorted(copied) if _asks_for_copied(phase) else None,
        "teachers": [_taught(each) for each in teachings],
        "data": {role: task.fingerprint for role, task in {**read, **judges(phase, roles)}.items()},
        "seed": setting.seed,
        "metric": setting.metric,
        "evaluations": setting.evaluations,
        "machine": setting.machine.signature(),
        "code": code_digest(),
    }
    key = digest(document, 20)
    with setting.cache.locked(key):
        again = setting.recomputed is not None and key not in setting.recomputed
        entry = None if again else setting.cache.read(key)
        if entry is not None and phase.keep == "best_each" and len(read) > 1:
            entry = _with_others(entry, key, [*read], setting)
        if cached := entry is not None:
            load(network, entry.weights)
        else:
            entry = _Run(network, phase, roles, copied, key, setting, teachings).compute(document)
            if setting.recomputed is not None:
                setting.recomputed.add(key)
    if cached:
        for line in entry.report["records"]:
            setting.report({**line, "phase": phase.name, "cached": True})
    report = {**entry.report, "name": phase.name, "key": key, "cached": cached}
    return Entry(entry.weights, entry.digest, report, entry.others)


def _with_others(entry: Entry, key: str, roles: list[str], setting: Setting) -> Entry | None:
    """The entry with the weights that each task keeps; None where some are lost."""
    found = {role: setting.cache.read(f"{key}-{role}") for role in roles}
    whole = {role: each.weights for role, each in found.items() if each is not None}
    return replace(entry, others=whole) if len(whole) == len(roles) else None


def _taught(teaching: Teaching) -> list[Any]:
    """What a teacher says follows from its weights, how it is built, and the form in which it reads the tasks."""
    forms = {role: task.fingerprint for role, task in teaching.tasks().items()}
    return [weights_digest(tensors(teaching.network)), teaching.network.document, forms]


def _asks_for_copied(phase: Phase) -> bool:
    return any(isclass(each.func) for each in phase.objectives)


class _Run:
    """One computation of one phase."""

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
        self.before = tensors(network) if phase.leaves is not None else {}
        trained = rates(phase, network, tasks)
        read = {role: task.train for role, task in tasks.items()}
        judged = {**judging, **tasks}.items()
        valid = {role: task.val for role, task in judged if len(task.val) and task.labels.key in network.head}
        augment = phase.augment
        for each in teachings:
            # Laid out as a network that was trained here is, so that one from the cache computes the same bits.
            place(each.network, setting.machine)
        running = bool(teachings) and runs_teacher(phase)
        if teachings and not running:
            read = with_lessons(read, teachings, lessons(phase), setting.machine)
        # A teacher that runs has encoders of its own; what modules give is only there where they run.
        inside = running or looks_inside(phase)
        if not inside and all(getattr(each, "func", each) is modality_dropout for each in augment):
            read = self._encoded(read, trained)
        valid = self._encoded(valid, trained)
        looks = any(getattr(each.func, "reads_inputs", False) for each in phase.objectives)
        if not (augment or inside or looks) and all(name.startswith("head.") for name in trained):
            # Nothing below the head moves: what the head reads is computed once.
            read = self._with_features(read)
            valid = self._with_features(valid)
        self.batches = Batches(
            read,
            batch_size=phase.batch_size,
            seed=derive(setting.seed, phase.reads, phase.position, "batches"),
            balanced=phase.balanced,
            augment=augment,
            device=setting.machine.device,
            # Mixed labels are of one task.
            common=phase.common and not teachings and not any(getattr(each, "func", each) is mixup for each in augment),
            # Who is taught reads every task in every step: the teacher may see nothing of the one that is drawn.
            tasks="all" if teachings else phase.tasks,
            temperature=phase.temperature,
        )
        self.steps = steps(phase, self.batches.steps_per_epoch)
        self.teachers = teachers = tuple(each.network for each in teachings)
        weighs = any(each.keywords.get("combine") == "validation" for each in phase.objectives)
        losses = validation(teachings, setting.machine) if weighs else None
        start = Start(network, copied, counted(tasks), teachers, self.steps, tasks, losses)
        balance = begun_balance(phase, start)
        self.update = Update(begun(phase, start), trained, phase.optimizer, phase.schedule, balance)
        self.watch = Watch(network, phase, self.update, tasks, [*judging], valid, setting, self.steps)
        self.seconds = 0.0

    def _with_features(self, read: Mapping[str, Examples]) -> dict[str, Examples]:
        machine = self.setting.machine
        return {role: each.with_features(features(self.network, each, machine)) for role, each in read.items()}

    def _encoded(self, read: Mapping[str, Examples], trained: Mapping[str, Any]) -> dict[str, Examples]:
        """What pretrained encoders that this phase does not train make of the examples."""
        still = (self.setting.pretrained & self.network.encoder.keys()) - self.network.moving(trained)
        return {role: encode(self.network, each, sorted(still), self.setting.machine) for role, each in read.items()}

    def compute(self, document: dict[str, Any]) -> Entry:
        setting, phase, watch = self.setting, self.phase, self.watch
        saved = setting.cache.read_state(self.key)
        state = None
        if saved is not None:
            state, self.seconds = saved["fit"], saved["seconds"]
            watch.restore(saved)
        setting.machine.reset_peak()
        began = clock = time.monotonic()
        done = state["step"] if state else 0
        bar = tqdm(total=self.steps, initial=done, desc=phase.name, unit="step", disable=None, leave=False)
        seed = derive(setting.seed, phase.reads, phase.position, "random")
        loop = fit(self.network, [self.update], self.batches, steps=self.steps, seed=seed, machine=setting.machine, state=state)
        with bar:
            for record in loop:
                bar.update()
                done = record.step
                watch.note(record)
                if watch.due(done) and watch.look(done, self.batches, bar):
                    break
                now = time.monotonic()
                if interrupt.asked() or now - clock > setting.checkpoint_seconds:
                    clock = now
                    beside = {"fit": record.state(), "seconds": self.seconds + now - began}
                    setting.cache.write_state(self.key, {**beside, **watch.state()})
                    if (number := interrupt.asked()) is not None:
                        raise Interrupted(f"stopped in phase {phase.name} at step {done} of {self.steps}", number)
        weights, kept_step = watch.kept(done)
        if phase.leaves is not None:
            weights = phase.leaves(self.before, weights)
        load(self.network, weights)
        if broken := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
            raise Problem(
                f"{broken[0]} is no longer finite after phase {phase.name} ({done} steps). Lower optimizer.lr (try a tenth)."
            )
        report = {
            "name": phase.name,
            "steps": done,
            "kept_step": kept_step,
            "seconds": self.seconds + time.monotonic() - began,
            "peak_memory": setting.machine.peak_memory(),
            "records": watch.records,
            "document": document,
        }
        # What tasks keep for themselves is written first: the phase's own weights say that it is done.
        apart = watch.apart()
        if phase.leaves is not None:
            apart = {role: phase.leaves(self.before, each) for role, each in apart.items()}
        others = {role: setting.cache.write(f"{self.key}-{role}", each, {}).weights for role, each in apart.items()}
        # Nothing of this phase's is asked for, or kept, in the next.
        self.network.seen.clear()
        for each in (self.network, *self.teachers):
            each.listening = []
        return replace(setting.cache.write(self.key, weights, report), others=others)
