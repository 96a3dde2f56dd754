"""The target's examples without their labels: the role that adaptation reads beside the tasks with labels."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from xlearn.data.task import Examples, Sealed, Task
from xlearn.runtime.hashing import digest

# The role under which a phase reads them. No task may be called so.
UNLABELED = "unlabeled"
# In the place of their labels: an objective that used one would fail, not cheat.
HIDDEN = -1


def sources(roles: Iterable[str]) -> list[str]:
    """The roles of the sources among all that a phase reads."""
    return [role for role in roles if role not in ("target", UNLABELED)]


def hidden(task: Task) -> Task:
    """The task whose training examples are the unlabelled ones. All its labels are `HIDDEN`, of all splits, and there is no
    validation split.

    `train.taught["position"] int64 [n]` numbers them, so that a batch tells which ones it holds.
    """
    none = _blank(task.unlabeled.subset(torch.arange(0)))
    test = Sealed(task.name, _blank(task.test.examples))
    fingerprint = f"{task.fingerprint}:unlabeled"
    return replace(task, train=_blank(task.unlabeled), val=none, unlabeled=none, test=test, fingerprint=fingerprint)


def _blank(examples: Examples) -> Examples:
    whole = examples.whole and replace(examples.whole, labels=torch.full_like(examples.whole.labels, HIDDEN))
    # Without `data`: nothing brings their rows together with those of the same data that have labels.
    taught, labels = {"position": torch.arange(len(examples))}, torch.full_like(examples.labels, HIDDEN)
    return replace(examples, labels=labels, taught=taught, data="", whole=whole)


def inputs(task: Task) -> Task:
    """The task whose training examples are all those of training, whatever the number of labels, as `hidden` ones: what
    self-supervision reads. It is the same for every number of labels, so that one training serves them all.
    """
    whole = task.unlabeled.whole or task.unlabeled
    bare = hidden(replace(task, unlabeled=whole.subset(task.training)))
    return replace(bare, fingerprint=digest([whole.data, sorted(task.inputs), task.training.tolist(), "inputs"], 16))


def revealed(task: Task) -> Task:
    """The task with labels of all its training examples: what adaptation is bounded by."""
    whole = task.unlabeled.whole or task.unlabeled
    rows = torch.cat([task.train.rows, task.unlabeled.rows]).sort().values
    none = task.unlabeled.subset(torch.arange(0))
    return replace(task, train=whole.subset(rows), unlabeled=none, fingerprint=f"{task.fingerprint}:all labels")
