"""How a phase is solved: once, through the cache, and going on where it was interrupted."""

import time
from collections.abc import Mapping
from inspect import isclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from xlearn import interrupt
from xlearn.augment.modality_dropout import modality_dropout
from xlearn.batches import Batches
from xlearn.cache import Entry, weights_digest
from xlearn.errors import Interrupted, Problem
from xlearn.evaluate import features, logits
from xlearn.fit import Update, fit
from xlearn.frozen import encode
from xlearn.hashing import code_digest, derive, digest
from xlearn.machine import place
from xlearn.metric_names import HIGHER_IS_BETTER
from xlearn.metrics import score
from xlearn.network import Network, load, tensors
from xlearn.objectives import Start
from xlearn.phase import Phase, Roles, Setting, begun, counted, judges, rates, reading, steps
from xlearn.task import Examples


def solve(
    network: Network,
    phase: Phase,
    roles: Roles,
    copied: frozenset[str],
    incoming: str,
    setting: Setting,
    teacher: Network | None = None,
) -> Entry:
    """Bring `network` (in place) to where the phase leaves it: from the cache if it was computed before.

    `roles` are all tasks; the phase reads those of its role, and its judges may select (`keep`). `incoming` is the digest
    of the weights the network has; `teacher`, where the transfer lets it teach, is the source's network.
    Raises `Interrupted` after saving, and `Problem` for a loss that is not finite.
    """
    document = {
        "phase": phase.document,
        "network": network.document,
        "incoming": incoming,
        "copied": sorted(copied) if _asks_for_copied(phase) else None,
        "teacher": None if teacher is None else [weights_digest(tensors(teacher)), teacher.document],
        "data": {role: task.fingerprint for role, task in {**reading(phase, roles), **judges(phase, roles)}.items()},
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
        if cached := entry is not None:
            load(network, entry.weights)
        else:
            entry = _Run(network, phase, roles, copied, key, setting, teacher).compute(document)
            if setting.recomputed is not None:
                setting.recomputed.add(key)
    if cached:
        for line in entry.report["records"]:
            setting.report({**line, "phase": phase.name, "cached": True})
    return Entry(entry.weights, entry.digest, {**entry.report, "name": phase.name, "key": key, "cached": cached})


def _asks_for_copied(phase: Phase) -> bool:
    return any(isclass(each.func) for each in phase.objectives)


class _Run:
    """One computation of one phase: the state beside the network's, which is saved and restored with it."""

    def __init__(
        self,
        network: Network,
        phase: Phase,
        roles: Roles,
        copied: frozenset[str],
        key: str,
        setting: Setting,
        teacher: Network | None,
    ) -> None:
        tasks = self.tasks = reading(phase, roles)
        self.network, self.phase, self.key, self.setting = network, phase, key, setting
        self.judges = judges(phase, roles)
        objectives = begun(phase, Start(network, copied, counted(tasks), teacher))
        trained = rates(phase, network)
        self.update = Update(objectives, trained, phase.optimizer, phase.schedule, phase.balance)
        read = {role: task.train for role, task in tasks.items()}
        self.valid = {role: task.val for role, task in {**self.judges, **tasks}.items() if len(task.val)}
        augment = phase.augment
        if teacher is not None:
            # Laid out as a network that was trained here is, so that one from the cache computes the same bits.
            place(teacher, setting.machine)
        # A teacher has encoders of its own; some objectives look at one modality after the other.
        if teacher is None:
            if all(getattr(each, "func", each) is modality_dropout for each in augment):
                read = self._encoded(read, trained)
            self.valid = self._encoded(self.valid, trained)
        looks = any(getattr(each.func, "reads_inputs", False) for each in phase.objectives)
        inputs = bool(augment) or teacher is not None or looks
        if not inputs and all(name.startswith("head.") for name in trained):
            # Nothing below the head moves: what the head reads is computed once.
            read = self._with_features(read)
            self.valid = self._with_features(self.valid)
        self.batches = Batches(
            read,
            batch_size=phase.batch_size,
            seed=derive(setting.seed, phase.reads, phase.position, "batches"),
            balanced=phase.balanced,
            augment=augment,
            device=setting.machine.device,
        )
        self.steps = steps(phase, self.batches.steps_per_epoch)
        self.every = max(1, -(-self.steps // setting.evaluations))
        self.pending: dict[str, list[Tensor]] = {}
        self.records: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"score": None, "step": 0, "stale": 0, "weights": {}}
        self.seconds = 0.0

    def _with_features(self, read: Mapping[str, Examples]) -> dict[str, Examples]:
        machine = self.setting.machine
        return {role: each.with_features(features(self.network, each, machine)) for role, each in read.items()}

    def _encoded(self, read: Mapping[str, Examples], trained: Mapping[str, Any]) -> dict[str, Examples]:
        """What pretrained encoders that this phase does not train make of the examples."""
        moving = {name.split(".")[1] for name in trained if name.startswith("encoder.")}
        still = (self.setting.pretrained & self.network.encoder.keys()) - moving
        return {role: encode(self.network, each, sorted(still), self.setting.machine) for role, each in read.items()}

    def compute(self, document: dict[str, Any]) -> Entry:
        setting, phase = self.setting, self.phase
        saved = setting.cache.read_state(self.key)
        state = None
        if saved is not None:
            state = saved["fit"]
            self.pending = {name: list(values.unbind()) for name, values in saved["pending"].items()}
            self.records, self.best, self.seconds = saved["records"], saved["best"], saved["seconds"]
            for line in self.records:
                setting.report(line)
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
                for name, loss in record.losses.items():
                    self.pending.setdefault(name, []).append(loss)
                if (done % self.every == 0 or done == self.steps) and self._look(done, bar):
                    break
                now = time.monotonic()
                if interrupt.asked() or now - clock > setting.checkpoint_seconds:
                    clock = now
                    self._save(record.state(), self.seconds + now - began)
                    if (number := interrupt.asked()) is not None:
                        raise Interrupted(f"stopped in phase {phase.name} at step {done} of {self.steps}", number)
        weights = self.best["weights"] if phase.keep != "last" else tensors(self.network)
        load(self.network, weights)
        if broken := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
            raise Problem(
                f"{broken[0]} is no longer finite after phase {phase.name} ({done} steps). Lower optimizer.lr (try a tenth)."
            )
        report = {
            "name": phase.name,
            "steps": done,
            "kept_step": self.best["step"] if phase.keep != "last" else done,
            "seconds": self.seconds + time.monotonic() - began,
            "peak_memory": setting.machine.peak_memory(),
            "records": self.records,
            "document": document,
        }
        return setting.cache.write(self.key, weights, report)

    def _look(self, step: int, bar: tqdm) -> bool:
        """Read the losses, evaluate, report, keep the best; True when the phase ends here."""
        losses = self._mean_losses(step)
        scores = {}
        for role, examples in self.valid.items():
            scores[f"{role}_val_{self.setting.metric}"] = score(
                self.setting.metric, logits(self.network, examples, self.setting.machine), examples.labels
            )
        line = {"phase": self.phase.name, "step": step, "losses": losses, **scores}
        self.records.append(line)
        self.setting.report(line)
        bar.set_postfix({name: f"{value:.3f}" for name, value in {**losses, **scores}.items()}, refresh=False)
        if self.judges:
            self._judge(step, scores)
        phase = self.phase
        if phase.stop_below is not None and sum(losses.values()) < phase.stop_below:
            return True
        return phase.patience is not None and self.best["stale"] >= phase.patience

    def _judge(self, step: int, scores: dict[str, float]) -> None:
        values = [scores[f"{role}_val_{self.setting.metric}"] for role in self.judges]
        value = sum(values) / len(values) * (1 if HIGHER_IS_BETTER[self.setting.metric] else -1)
        if self.best["score"] is None or value > self.best["score"]:
            keeps = self.phase.keep != "last"
            self.best = {"score": value, "step": step, "stale": 0, "weights": tensors(self.network) if keeps else {}}
        else:
            self.best["stale"] += 1

    def _mean_losses(self, step: int) -> dict[str, float]:
        """Mean per loss since the last look; the losses are read from the device here, not at every step."""
        means = {}
        for name, values in self.pending.items():
            stacked = torch.stack(values).float().cpu()
            if not bool(stacked.isfinite().all()):
                where = step - len(values) + 1 + int((~stacked.isfinite()).nonzero()[0])
                raise Problem(
                    f"The loss {name!r} became {float(stacked[~stacked.isfinite()][0])} in phase {self.phase.name} at step "
                    f"{where} of {self.steps}. Lower optimizer.lr (try a tenth), or check the data of "
                    f"{', '.join(task.name for task in self.tasks.values())}."
                )
            means[name] = float(stacked.mean())
        self.pending = {}
        return means

    def _save(self, state: dict[str, Any], seconds: float) -> None:
        pending = {name: torch.stack(values) for name, values in self.pending.items()}
        beside = {"pending": pending, "records": self.records, "best": self.best, "seconds": seconds}
        self.setting.cache.write_state(self.key, {"fit": state, **beside})
