"""Teacher outputs for objectives, precomputed or computed for the batch, and the losses on logits."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem

# (logits [batch, classes], the teachers' [batch, teachers, classes], seen bool [batch, teachers], labels) -> scalar
Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def need_teacher(context: PhaseContext, name: str) -> Network:
    """The only teacher. Raises `Problem` if there is none, or several."""
    if len(context.teachers) != 1:
        there = f"are {len(context.teachers)}" if context.teachers else "is none"
        raise Problem(
            f"{name} needs one teacher, but there {there}. Use it in a phase with `teachers: [source]`, such as transfer=kd."
        )
    return context.teachers[0]


def only_target(roles: Sequence[str]) -> list[str]:
    """The roles with labels that a student learns from: on sources it uses the teachers' predictions alone."""
    return [role for role in roles if role == "target"]


def taught_logits(teachers: Sequence[Network], batch: Batch) -> tuple[Tensor, Tensor] | None:
    """The teachers' logits of the labelled examples, `float [batch, teachers, classes]`, by the head of the batch's label
    space, and whether each teacher can read the example, `bool [batch, teachers]`; None if no teacher can read any.
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
    """The teacher's features below its heads, `float [batch, width]`, and whether it can read each example, `bool [batch]`;
    None if it can read none.
    """
    if "features" in batch.taught:
        return batch.taught["features"], batch.taught["seen"][:, 0]
    if batch.features is not None or not batch.inputs.keys() & teacher.encoder.keys():
        return None
    teacher.eval()
    with torch.no_grad():
        return teacher.features(batch), _sees(teacher, batch, labelled=False)


def taught_outputs(teacher: Network, batch: Batch) -> dict[str, object] | None:
    """The outputs of the teacher's recorded modules for the batch, by path; None if the teacher cannot read the batch."""
    if not batch.inputs.keys() & teacher.encoder.keys():
        return None
    teacher.eval()
    with torch.no_grad():
        return teacher.outputs(batch)


def single(values: Tensor) -> Tensor:
    """The values in single precision or better: under autocast logits are of half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def mean(values: Tensor, seen: Tensor) -> Tensor:
    """The mean of `values [batch]` over the examples in the mask `seen`; 0 if there are none."""
    return (values * seen).sum() / seen.sum().clamp_min(1)


def _evaluated(teacher: Network, batch: Batch) -> Tensor:
    teacher.eval()
    with torch.no_grad():
        return teacher(batch)


def _sees(teacher: Network, batch: Batch, labelled: bool = True) -> Tensor:
    """Whether each example has a modality of the teacher, `bool [batch]`."""
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
    """`(1 - weight) CE(y, z)` on the target, plus `weight term` on every role that a teacher can read: the convention of all
    distillation of logits. CE is the loss of the label space, the mean over the examples with a label, without class weights.
    `term(z [batch, classes], *taught_logits(...), labels)` is a scalar, of logits in single precision or better.

    Raises: `Problem` if no batch has a modality of a teacher.
    """
    losses = {}
    for role, batch in batches.items():
        logits = network(batch)
        if role == "target":
            losses[f"{role}_labels"] = (1 - weight) * batch.space.loss(logits, batch.labels)
        if (taught := taught_logits(teachers, batch)) is not None:
            given, seen = taught
            losses[f"{role}_teacher"] = weight * term(single(logits), single(given), seen, batch.labels)
    if not any(name.endswith("_teacher") for name in losses):
        modalities = " and ".join(sorted({name for each in teachers for name in each.encoder}))
        raise Problem(f"the teacher reads {modalities}, but no task has this modality. Choose a source of paired modalities.")
    return losses


def need_mixture(name: str, temperature: float, weight: float) -> None:
    """Raise `Problem` for a temperature not above 0, and for a weight outside [0, 1]."""
    if not temperature > 0:
        raise Problem(f"{name}: temperature={temperature}: give more than 0, e.g. 4.")
    if not 0 <= weight <= 1:
        raise Problem(f"{name}: weight={weight}: give a share in [0, 1].")
