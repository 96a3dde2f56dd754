"""What objectives ask of teachers, computed before or now."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem

# (logits [batch, classes], the teachers' [batch, teachers, classes], seen bool [batch, teachers], labels) -> scalar
Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def need_teacher(context: PhaseContext, name: str) -> Network:
    """The one network that teaches. Raises `Problem` where there is none, or several."""
    if len(context.teachers) != 1:
        there = f"are {len(context.teachers)}" if context.teachers else "is none"
        raise Problem(
            f"{name} needs one teacher, and there {there}. Use it in a phase with `taught_by: source`, such as transfer=kd."
        )
    return context.teachers[0]


def taught_logits(teachers: Sequence[Network], batch: Batch) -> tuple[Tensor, Tensor] | None:
    """(`float [batch, teachers, classes]` by the head of the batch's label space, `bool [batch, teachers]`: whether the
    teacher sees the example), of the examples that have a label; None where no teacher sees any.
    """
    if "logits" in batch.taught:
        return batch.taught["logits"], batch.taught["seen"]
    reading = [each for each in teachers if batch.inputs.keys() & each.encoder.keys()]
    if batch.features is not None or not reading:
        return None
    given = {id(each): _evaluated(each, batch) for each in reading}
    blank = torch.zeros_like(next(iter(given.values())))
    seen = torch.stack([_sees(each, batch) for each in teachers], dim=1)
    return torch.stack([given.get(id(each), blank) for each in teachers], dim=1), seen


def taught_features(teacher: Network, batch: Batch) -> tuple[Tensor, Tensor] | None:
    """(`float [batch, width]`, what the teacher's heads read of every example, `bool [batch]`: whether it sees it); None where
    it sees none.
    """
    if "features" in batch.taught:
        return batch.taught["features"], batch.taught["seen"][:, 0]
    if batch.features is not None or not batch.inputs.keys() & teacher.encoder.keys():
        return None
    teacher.eval()
    with torch.no_grad():
        return teacher.features(batch), _sees(teacher, batch, labelled=False)


def taught_outputs(teacher: Network, batch: Batch) -> dict[str, object] | None:
    """What the modules of the teacher that are listened to make of the batch, by path; None where it sees nothing of it."""
    if not batch.inputs.keys() & teacher.encoder.keys():
        return None
    teacher.eval()
    with torch.no_grad():
        return teacher.outputs(batch)


def mean(values: Tensor, seen: Tensor) -> Tensor:
    """The mean of `values [batch]` over the examples that are `seen`; 0 where none is."""
    return (values * seen).sum() / seen.sum().clamp_min(1)


def _evaluated(teacher: Network, batch: Batch) -> Tensor:
    teacher.eval()
    with torch.no_grad():
        return teacher(batch)


def _sees(teacher: Network, batch: Batch, labelled: bool = True) -> Tensor:
    """`bool [batch]`: which examples have any modality of the teacher."""
    names = batch.inputs.keys() & teacher.encoder.keys()
    rows = batch.rows if labelled else None
    if names and all(name in batch.present for name in names):
        seen = torch.stack([batch.present[name] for name in names]).any(0)
        return seen if rows is None else seen[rows]
    some = batch.labels if labelled or batch.rows is None else next(iter(batch.inputs.values()))
    count = len(some if isinstance(some, Tensor) else some.values)
    return torch.full((count,), bool(names), device=batch.labels.device)


def by_logits(
    network: Network, batches: Mapping[str, Batch], teachers: Sequence[Network], weight: float, term: Term
) -> dict[str, Tensor]:
    """`(1 - weight) CE(y, z)` on the target, plus `weight term` on every role that a teacher sees: the convention of all that
    learns from logits. `term(z [batch, classes], what taught_logits gives, labels)` is a scalar.

    Raises `Problem` where no batch has a modality of a teacher.
    """
    losses = {}
    for role, batch in batches.items():
        logits = network(batch)
        if role == "target":
            losses[f"{role}_labels"] = (1 - weight) * functional.cross_entropy(logits, batch.labels)
        if (taught := taught_logits(teachers, batch)) is not None:
            losses[f"{role}_teacher"] = weight * term(logits, *taught, batch.labels)
    if not any(name.endswith("_teacher") for name in losses):
        modalities = " and ".join(sorted({name for each in teachers for name in each.encoder}))
        raise Problem(f"the teacher reads {modalities}, which no task has. Choose a source of pairs.")
    return losses


def need_mixture(name: str, temperature: float, weight: float) -> None:
    """Raise unless the temperature is above 0 and the teacher's share is one."""
    if not temperature > 0:
        raise Problem(f"{name}: temperature={temperature}: give more than 0, e.g. 4.")
    if not 0 <= weight <= 1:
        raise Problem(f"{name}: weight={weight}: give a share in [0, 1].")
