"""The order of a sweep's jobs on several workers: what several runs share is computed once, without waiting."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields
from typing import Any, Protocol

from xlearn.config.schema import identity
from xlearn.data.options import TaskOptions
from xlearn.runtime.hashing import digest

# The sections that determine the form of the data, besides the loaders.
FORMS = ("image", "text", "audio", "tabular", "encoder", "teacher")


class Grouped(Protocol):
    @property
    def groups(self) -> frozenset[str]: ...


def groups(content: Mapping[str, Any]) -> frozenset[str]:
    """Digests of everything in a run that another run of the sweep may have in common with it: the training of its source, and
    the first 1, 2, ... phases of its transfer and of its baseline. Without data and without torch, so a guess: if it is wrong,
    a worker waits for the other at the phase's lock.
    """
    return frozenset(_groups(identity(content)))


def _groups(whole: Mapping[str, Any]) -> Iterator[str]:
    rest = {name: value for name, value in whole.items() if name not in ("transfer", "baseline", "pretrain")}
    budget = {name: value for name, value in rest.get("budget", {}).items() if name != "transfer"}
    # Sources follow the target's draw, unless they have their own.
    draw = {name: value for name, value in (rest.get("target") or {}).items() if name == "draw"}
    sources = {name: {**draw, **node} for name, node in rest.get("source", {}).items()}
    source = {**{name: value for name, value in rest.items() if name != "target"}, "budget": budget, "source": sources}
    for name in ("transfer", "baseline"):
        chain = whole.get(name, {})
        phases = chain.get("phases", {})
        start = None
        if chain.get("carry") or any(phase.get("teachers") for phase in phases.values()):
            start = whole.get("pretrain")
            yield digest(["source", source, start])
        kind = {key: value for key, value in chain.items() if key not in ("phases", "comparisons")}
        for count in range(1, len(phases) + 1):
            yield digest(["phases", rest, start, kind, [*phases.items()][:count]])


def choose(waiting: Sequence[Grouped], busy: Set[str], done: Set[str]) -> int:
    """The position of the job that a free worker takes next: one of whose groups as few as possible are computed by others just
    now (`busy`, not `done`); among these the one whose new groups most others wait for; among these the first.
    """
    shared = Counter(group for job in waiting for group in job.groups)

    def rank(position: int) -> tuple[int, int, int]:
        missing = waiting[position].groups - done
        return len(missing & busy), -sum(shared[group] for group in missing - busy), position

    return min(range(len(waiting)), key=rank)


def parts_of(content: Mapping[str, Any]) -> frozenset[str]:
    """The parts that a run reads (see `xlearn.runtime.memory`): each data set, and each in the form of its encoders."""
    form = {name: content.get(name) for name in FORMS}
    options = {each.name for each in fields(TaskOptions)}
    tasks = [content.get("target") or {}, *(content.get("source") or {}).values()]
    loaders = [{name: value for name, value in task.items() if name not in options} for task in tasks]
    return frozenset(digest(each) for loader in loaders for each in (loader, [loader, form]))
