"""Pairs of student and teacher outputs: of modules by their paths, or the features below the heads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.networks.present import in_place, with_modality
from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.teaching import need_teacher, taught_features, taught_outputs
from xlearn.objectives.parts.probe import channels_first, probe
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class Match:
    """The outputs of student and teacher for the same examples, at one or several pairs of paths (None: the features below the
    heads). `shapes`: `(channels, *positions)` of student and teacher for each pair, probed with two examples.

    Raises: `Problem` without exactly one teacher, for a path that does not exist, and for a module that is never called.
    """

    def __init__(self, context: PhaseContext, name: str, pairs: Sequence[tuple[str | None, str | None]]) -> None:
        self.name, self.pairs = name, [*pairs]
        self.teacher = need_teacher(context, name)
        students, teachers = ([pair[side] for pair in pairs] for side in range(2))
        own = _shapes(context.network, students, context.tasks, f"{name}: student")
        self.shapes = [*zip(own, _shapes(self.teacher, teachers, context.tasks, f"{name}: teacher"), strict=True)]

    def __call__(self, network: Network, batch: Batch) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(student output, teacher output, `seen bool [batch]`) for each pair of modules that the batch reaches; empty if the
        teacher cannot read the batch. Outputs are `[batch, channels, *positions]`; `seen`: whether an example has a modality of
        the teacher, and those of the encoders of both modules.
        """
        if (taught := taught_features(self.teacher, batch)) is None:
            return []
        features, seen = taught
        inside = any(student is not None for student, _ in self.pairs)
        own = network.outputs(batch) if inside else {}
        given = (taught_outputs(self.teacher, batch) or {}) if any(teacher is not None for _, teacher in self.pairs) else {}
        found = []
        for student, teacher in self.pairs:
            if (student is not None and student not in own) or (teacher is not None and teacher not in given):
                continue
            one = network.features(batch) if student is None else _of_all(network, student, own[student], batch)
            other = features if teacher is None else _of_all(self.teacher, teacher, given[teacher], batch)
            found.append((one, other, _there(batch, student, _there(batch, teacher, seen))))
        return found


def features_or_modules(student: str | None, teacher: str | None) -> Needs:
    """The needs of an objective that matches the features below the heads, or the outputs of the named modules: then both
    networks run in every step.
    """
    outputs = {"features"} | ({"network"} if teacher else set())
    return replace(NO_LABELS, below_heads=True, runs_encoders=bool(student), teacher=frozenset(outputs))


def pooled(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Pool both `[batch, channels, *positions]` to the smaller size along each axis (adaptive average)."""
    sizes = [min(each) for each in zip(one.shape[2:], other.shape[2:], strict=True)]
    return _pooled(one, sizes), _pooled(other, sizes)


def _shapes(network: Network, paths: Sequence[str | None], tasks: Mapping[str, Task], where: str) -> list[tuple[int, ...]]:
    named = [path for path in paths if path is not None]
    for path in named:
        try:
            network.listen(path)
        except Problem as error:
            raise Problem(f"{where}={path}: {error}") from error
    found = probe(network, named, tasks) if named else {}
    for path in named:
        if path not in found or found[path].ndim not in (2, 3, 4):
            reason = (
                "gives neither vectors nor sequences nor maps" if path in found else "is not called for what the phase reads"
            )
            raise Problem(
                f"{where}={path}: this module {reason}. Name a block of an encoder of {' or '.join(network.encoder)}."
            )
    return [(network.width,) if path is None else tuple(found[path].shape[1:]) for path in paths]


def _of_all(network: Network, path: str, given: Any, batch: Batch) -> Tensor:
    """`[batch, channels, *positions]`: the output of a module, zeros for examples that its encoder does not read."""
    value, there = channels_first(network, path, given), with_modality(batch, path)
    return value if there is None or len(value) == len(there) else in_place(value, there.nonzero().flatten(), len(there))


def _there(batch: Batch, path: str | None, seen: Tensor) -> Tensor:
    """Restrict the mask to the examples with the modality of the path's encoder."""
    there = with_modality(batch, path)
    return seen if there is None else seen & there


def _pooled(value: Tensor, sizes: list[int]) -> Tensor:
    if [*value.shape[2:]] == sizes:
        return value
    if len(sizes) == 1:
        return functional.adaptive_avg_pool1d(value, sizes[0])
    return functional.adaptive_avg_pool2d(value, (sizes[0], sizes[1]))
