"""Run one phase: read it from the cache, train it, or solve it in closed form."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from inspect import isclass
from typing import Any

from torch import Tensor

from xlearn.data.task import Task
from xlearn.networks.network import Network, load, tensors
from xlearn.phases.checkpoints_by_rule import look
from xlearn.phases.encoder_cache import encode
from xlearn.phases.phase import Phase, Roles, Setting, judges, reading
from xlearn.phases.teacher_outputs import Teaching
from xlearn.phases.training import PhaseTraining, need_finite
from xlearn.runtime.cache import Entry, weights_digest
from xlearn.runtime.code import behind, code_digest
from xlearn.runtime.hashing import digest
from xlearn.runtime.machine import place

# Packages that compute closed forms, transport plans and selection scores.
SOLVING = ("numpy", "pot", "scikit-learn")


def solve(
    network: Network,
    phase: Phase,
    roles: Roles,
    copied: frozenset[str],
    incoming: str,
    setting: Setting,
    teachings: Sequence[Teaching] = (),
) -> Entry:
    """Run a phase on `network` in place, or load its weights from the cache.

    `roles`: all tasks; the phase reads some of them, and selects its weights on the validation split of its judges. `incoming`:
    the digest of the network's weights. `teachings`: the teachers of the phase.

    Raises: `Interrupted` after saving the state; `Problem` for a loss that is not finite.
    """
    read = reading(phase, roles)
    # With a single task, its weighting and sampling have no effect.
    alone = dict.fromkeys(("balance", "tasks", "temperature", "common")) if len(read) < 2 else {}
    # An adaptation phase keeps the weights of all selection rules, so `keep` is not in its key.
    alone |= {"keep": None} if phase.adapts else {}
    document: dict[str, Any] = {
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
        "packages": {name: metadata.version(name) for name in SOLVING} if phase.adapts else None,
    }
    # The code of the engine, from this module on, and of the components in the document.
    document["code"] = code_digest(__name__, *behind(document))
    key = digest(document, 20)
    with setting.cache.locked(key):
        again = setting.recomputed is not None and key not in setting.recomputed
        entry = None if again else setting.cache.read(key)
        entry = None if entry is None else _with_others(entry, key, setting)
        if not (cached := entry is not None):
            if phase.solver is not None:
                weights, report = _in_closed_form(network, phase, read, setting)
                others: Mapping[str, Any] = {}
            else:
                weights, report, others = PhaseTraining(network, phase, roles, copied, key, setting, teachings).compute()
            # Additional weights are written first: the phase's own weights mark it as complete.
            kept = {name: setting.cache.write(f"{key}-{name}", each, {}).weights for name, each in others.items()}
            report |= {"name": phase.name, "others": [*kept], "document": document}
            entry = replace(setting.cache.write(key, weights, report), others=kept)
            if setting.recomputed is not None:
                setting.recomputed.add(key)
    if cached:
        for line in entry.report["records"]:
            setting.report({**line, "phase": phase.name, "cached": True})
    report: dict[str, Any] = {**entry.report, "name": phase.name, "key": key, "cached": cached}
    weights, address = entry.weights, entry.digest
    if phase.adapts and phase.keep != "last" and phase.solver is None:
        report["kept_step"] = report["selection"][phase.keep]["step"]
        weights = entry.others[look(report["kept_step"])]
        address = weights_digest(weights)
    load(network, weights)
    return Entry(weights, address, report, entry.others)


def _in_closed_form(
    network: Network, phase: Phase, read: Mapping[str, Task], setting: Setting
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Run the phase's solver; returns the weights, and a report like that of a trained phase."""
    assert phase.solver is not None
    began = time.monotonic()
    place(network, setting.machine)
    if not getattr(phase.solver.func, "moves_encoders", False):
        still = sorted(setting.pretrained & network.encoder.keys())
        read = {
            role: replace(
                task,
                train=encode(network, task.train, still, setting.machine),
                val=encode(network, task.val, still, setting.machine),
            )
            for role, task in read.items()
        }
    found = phase.solver(network, read)(setting.machine)
    line = {"phase": phase.name, "step": 0, "losses": {}, **found}
    weights = tensors(network)
    need_finite(weights, phase.name, 0)
    setting.report(line)
    return weights, {
        "steps": 0, "kept_step": 0, "seconds": time.monotonic() - began, "peak_memory": setting.machine.peak_memory(),
        "records": [line], "note": found.get("note"),
    }  # fmt: skip


def _with_others(entry: Entry, key: str, setting: Setting) -> Entry | None:
    """The entry with its additional weights, per task or evaluation; None if some are missing in the cache."""
    names = entry.report.get("others", [])
    found = {name: setting.cache.read(f"{key}-{name}") for name in names}
    whole = {name: each.weights for name, each in found.items() if each is not None}
    return replace(entry, others=whole) if len(whole) == len(names) else None


def _taught(teaching: Teaching) -> list[Any]:
    """A teacher for the cache key. Its outputs depend on its weights, its structure, and the form of the tasks it reads."""
    forms = {role: task.fingerprint for role, task in teaching.tasks().items()}
    return [weights_digest(tensors(teaching.network)), teaching.network.document, forms]


def _asks_for_copied(phase: Phase) -> bool:
    return any(isclass(each.func) for each in phase.objectives)
