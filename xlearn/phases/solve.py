"""One phase through the cache: taken from it, or trained, or solved in closed form."""

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

# They compute closed forms, plans of transport, and scores of selection.
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
    """Bring `network` (in place) to where the phase leaves it: from the cache if it was computed before.

    `roles` are all tasks; the phase reads those of its role, and its judges may select (`keep`). `incoming` is the digest
    of the weights the network has; `teachings` are those who teach the phase.
    Raises `Interrupted` after saving, and `Problem` for a loss that is not finite.
    """
    read = reading(phase, roles)
    # How tasks are weighed and drawn says nothing where there is only one.
    alone = dict.fromkeys(("balance", "tasks", "temperature", "common")) if len(read) < 2 else {}
    # Every look of a phase that adapts is kept for whichever rule selects.
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
    # Of the engine, from here on, and of what the document names.
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
            # What is kept beside is written first: the phase's own weights say that it is done.
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
    """The weights that the phase's solver leaves, and a report as of a phase that was fitted."""
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
    """The entry with the weights that are kept beside its own, for tasks or looks; None where some are lost."""
    names = entry.report.get("others", [])
    found = {name: setting.cache.read(f"{key}-{name}") for name in names}
    whole = {name: each.weights for name, each in found.items() if each is not None}
    return replace(entry, others=whole) if len(whole) == len(names) else None


def _taught(teaching: Teaching) -> list[Any]:
    """What a teacher says follows from its weights, how it is built, and the form in which it reads the tasks."""
    forms = {role: task.fingerprint for role, task in teaching.tasks().items()}
    return [weights_digest(tensors(teaching.network)), teaching.network.document, forms]


def _asks_for_copied(phase: Phase) -> bool:
    return any(isclass(each.func) for each in phase.objectives)
