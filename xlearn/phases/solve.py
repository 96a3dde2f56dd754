"""Run one phase: read it from the cache, or compute it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from xlearn.data.reads import Roles
from xlearn.networks.network import Network, load, tensors
from xlearn.networks.statistics import normalisations
from xlearn.phases.phase import Phase, Setting, judges, reading
from xlearn.phases.teacher_outputs import Teaching
from xlearn.phases.training import Computation
from xlearn.runtime.cache import Entry, weights_digest
from xlearn.runtime.code import behind, code_digest
from xlearn.runtime.fingerprints import with_class
from xlearn.runtime.hashing import digest


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
    # With a single task, its weighting has no effect.
    alone = {"balance": None} if len(read) < 2 else {}
    document: dict[str, Any] = {
        "phase": {
            **phase.document,
            **alone,
            "keeping": with_class(phase.keeping, phase.keeping.document()),
            "batches": with_class(phase.batches, phase.batches.document(read)),
            "solver": with_class(phase.solver, phase.solver.document()),
        },
        "network": network.document,
        "incoming": incoming,
        "copied": sorted(copied) if phase.needs.copied else None,
        "teachers": [_teacher(each) for each in teachings],
        "data": {role: task.fingerprint for role, task in {**read, **judges(phase, roles)}.items()},
        "seed": setting.seed,
        "metric": setting.metric,
        "evaluations": setting.evaluations,
        "statistics": setting.statistics if normalisations(network) else None,
        "machine": setting.machine.signature(),
    }
    if network.encoder_rates:
        document["encoder_rates"] = dict(network.encoder_rates)
    # The code of the engine, from this module on, and of the components in the document.
    document["code"] = code_digest(__name__, *behind(document))
    key = digest(document, 20)
    with setting.cache.locked(key):
        entry = setting.cache.read(key)
        if entry is not None and setting.forced in (None, entry.report.get("command")):
            entry = _with_others(entry, key, setting)
        else:
            entry = None
        if not (cached := entry is not None):
            found = phase.solver(Computation(network, phase, roles, copied, key, setting, teachings))
            # Additional weights are written first: the phase's own weights mark it as complete.
            kept = {name: setting.cache.write(f"{key}-{name}", each, {}).weights for name, each in found.others.items()}
            report = {**found.report, "name": phase.name, "others": [*kept], "document": document}
            entry = replace(setting.cache.write(key, found.weights, {**report, "command": setting.forced}), others=kept)
    if cached:
        for line in entry.report["records"]:
            setting.report({**line, "phase": phase.name, "cached": True})
    weights, address, kept_step = phase.keeping.chosen(entry)
    load(network, weights)
    given = {name: value for name, value in entry.report.items() if name != "command"}
    report = {**given, "name": phase.name, "key": key, "cached": cached, "kept_step": kept_step}
    return Entry(weights, address, report, entry.others)


def _with_others(entry: Entry, key: str, setting: Setting) -> Entry | None:
    """The entry with its additional weights, per task or evaluation; None if some are missing in the cache."""
    names = entry.report.get("others", [])
    found = {name: setting.cache.read(f"{key}-{name}") for name in names}
    whole = {name: each.weights for name, each in found.items() if each is not None}
    return replace(entry, others=whole) if len(whole) == len(names) else None


def _teacher(teaching: Teaching) -> list[Any]:
    """A teacher for the cache key. Its outputs depend on its weights, its structure, and the form of the tasks it reads."""
    forms = {role: task.fingerprint for role, task in teaching.tasks().items()}
    return [weights_digest(tensors(teaching.network)), teaching.network.document, forms]
