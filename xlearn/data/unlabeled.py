"""The target's unlabelled examples: the role that domain adaptation reads in addition to the labelled tasks."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.task import Examples, Sealed, Task
from xlearn.runtime.hashing import digest

# The role of the unlabelled examples in a phase. No task may have this name.
UNLABELED = "unlabeled"
# Replaces their labels, `int64 [n]` in every label space: an objective that used one would fail.
HIDDEN = -1


def is_hidden(labels: Tensor) -> bool:
    """Whether labels are hidden. A label space may have numbers below 0, but no integers (see `xlearn.label_spaces`)."""
    return not labels.is_floating_point() and bool((labels == HIDDEN).any())


def sources(roles: Iterable[str]) -> list[str]:
    """The roles of the sources among all roles of a phase."""
    return [role for role in roles if role not in ("target", UNLABELED)]


def hidden(task: Task) -> Task:
    """The task with its unlabelled examples as training examples. All labels of all splits are `HIDDEN`, and the validation
    split is empty.

    `train.taught["position"] int64 [n]` numbers the examples, so that a batch shows which ones it holds.
    """
    none = _blank(task.unlabeled.subset(torch.arange(0)))
    test = Sealed(task.name, _blank(task.test.examples))
    fingerprint = f"{task.fingerprint}:unlabeled"
    return replace(task, train=_blank(task.unlabeled), val=none, unlabeled=none, test=test, fingerprint=fingerprint)


def _blank(examples: Examples) -> Examples:
    whole = examples.whole and replace(examples.whole, labels=torch.full((len(examples.whole),), HIDDEN))
    # Without `data`, so that their rows are never joined with labelled rows of the same data.
    taught, labels = {"position": torch.arange(len(examples))}, torch.full((len(examples),), HIDDEN)
    return replace(examples, labels=labels, taught=taught, data="", whole=whole)


def inputs(task: Task) -> Task:
    """The task with all its training examples, labelled or not, as `hidden` ones: what self-supervision reads. It does not
    depend on the number of labels, so that one training serves them all.
    """
    whole = task.unlabeled.whole or task.unlabeled
    bare = hidden(replace(task, unlabeled=whole.subset(task.training)))
    return replace(bare, fingerprint=digest([whole.data, sorted(task.inputs), task.training.tolist(), "inputs"], 16))


def revealed(task: Task) -> Task:
    """The task with the labels of all its training examples that have one, for the upper bound of adaptation."""
    whole = task.unlabeled.whole or task.unlabeled
    rows = torch.cat([task.train.rows, task.with_labels(task.unlabeled).rows]).sort().values
    none = task.unlabeled.subset(torch.arange(0))
    return replace(task, train=whole.subset(rows), unlabeled=none, fingerprint=f"{task.fingerprint}:all labels")
