"""Logits and features of teachers, precomputed once if no augmentation changes the examples between epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xlearn.data.task import Examples, Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import Network
from xlearn.phases.encoder_cache import encode
from xlearn.runtime.machine import Machine


@dataclass(frozen=True)
class Teaching:
    """A teacher: its network, the tasks in the form it reads (as in `Roles`), and the modalities with a pretrained encoder."""

    network: Network
    roles: Mapping[str, Mapping[str, Task]]
    pretrained: frozenset[str] = frozenset()

    def tasks(self) -> dict[str, Task]:
        """The tasks by role: `target`, and the names of the sources."""
        return {role: task for tasks in self.roles.values() for role, task in tasks.items()}

    def reads(self, examples: Examples) -> list[str]:
        """The modalities of the examples that the teacher has an encoder for."""
        return sorted(examples.inputs.keys() & self.network.encoder.keys())


def with_outputs(
    read: Mapping[str, Examples], teachings: Sequence[Teaching], wanted: frozenset[str], machine: Machine
) -> dict[str, Examples]:
    """The examples with the teachers' outputs for the same rows, computed in evaluation mode. Roles that no teacher can read
    are returned unchanged.

    Shapes: `logits float [n, teachers, classes]`, of the head of the examples' label space; `features float [n, width]`, the
    input of the heads, for a single teacher; `seen bool [n, teachers]`, whether an example has a modality of the teacher.
    """
    return {role: _with_outputs(role, each, teachings, wanted, machine) for role, each in read.items()}


def _with_outputs(
    role: str, examples: Examples, teachings: Sequence[Teaching], wanted: frozenset[str], machine: Machine
) -> Examples:
    forms = [_form(role, examples, each, machine) for each in teachings]
    if not wanted or all(form is None for form in forms):
        return examples
    found = {"seen": torch.stack([_seen(form, len(examples)) for form in forms], dim=1)}
    if "logits" in wanted:
        blank = torch.zeros(len(examples), examples.space.width)
        given = [
            blank if form is None else logits(each.network, form, machine) for each, form in zip(teachings, forms, strict=True)
        ]
        found["logits"] = torch.stack(given, dim=1).clone()
    if "features" in wanted and len(teachings) == 1 and forms[0] is not None:
        found["features"] = features(teachings[0].network, forms[0], machine).clone()
    return replace(examples, taught={**examples.taught, **found})


def _form(role: str, examples: Examples, teaching: Teaching, machine: Machine) -> Examples | None:
    """The same rows in the form that the teacher reads; None if they have no modality of the teacher."""
    unlabeled = role == UNLABELED
    given = teaching.roles["target"]["target"].unlabeled if unlabeled else teaching.tasks()[role].train
    names = sorted(given.inputs.keys() & examples.inputs.keys() & teaching.network.encoder.keys())
    if not names:
        return None
    assert torch.equal(given.rows, examples.rows)
    return encode(teaching.network, given.only(*names), sorted(teaching.pretrained & {*names}), machine)


def _seen(form: Examples | None, count: int) -> Tensor:
    """Whether each example has any of the modalities, `bool [n]`."""
    if form is None:
        return torch.zeros(count, dtype=torch.bool)
    if any(name not in form.present for name in form.inputs):
        return torch.ones(count, dtype=torch.bool)
    return torch.stack([form.present[name] for name in form.inputs]).any(0)


def validation(teachings: Sequence[Teaching], machine: Machine) -> tuple[float | None, ...] | None:
    """The supervised loss of each teacher on the target's validation split; None for a teacher that cannot predict it, and
    None as a whole without a validation split.
    """
    found: list[float | None] = []
    for each in teachings:
        task = each.roles["target"].get("target")
        if task is None or len(task.val) == 0:
            return None
        names = each.reads(task.val)
        if not names or task.labels.key not in each.network.head:
            found.append(None)
            continue
        examples = encode(each.network, task.val.only(*names), sorted(each.pretrained & {*names}), machine)
        found.append(float(task.labels.loss(logits(each.network, examples, machine).double(), task.val.labels)))
    return tuple(found)
