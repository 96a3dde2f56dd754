"""KD: knowledge distillation from the predictions of one or several teachers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.teaching import by_logits, mean, need_mixture, only_target
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Kd(Objective):
    """`(1 - w) CE(y, z_s)` on the target, plus `w tau^2 KL(p_t || softmax(z_s / tau))` on every role that a teacher can read
    (Hinton et al., 2015): the first is the mean over the batch's examples, without class weights or smoothing, the second the
    mean over those with a modality of a teacher.

    w is `weight`, the teacher's share; tau is `temperature`. The factor tau^2 keeps the scale of the gradient for any tau.
    Teacher and student read the modalities of their own encoders: with paired examples these may differ. On the source, the
    teachers' predictions are used, but not the labels.
    One teacher: `p_t = softmax(z_t / tau)`. Several: `p_t = sum_k a_k softmax(z_k / tau)`, over the teachers that can read the
    example, sum_k a_k = 1, by `combine`:
    `average` a_k equal (Hinton et al., 2015, for ensembles);
    `validation` `a_k ~ exp(-L_k)`, with L_k the mean cross-entropy of teacher k on the target's validation split (its labels
    are used);
    `agreement` `a_k ~ exp(-1 / (K - 1) sum_{j != k} KL(p_j || p_k))` for each example: a teacher that disagrees with the others
    counts less.

    Raises: `Problem` for a weight outside [0, 1], a temperature not above 0, without a teacher, and for `validation` without a
    validation split that every teacher can read.
    """

    needs = Needs(teacher=frozenset({"logits"}), spaces=(Classes,))

    @classmethod
    def needed(cls, *, combine: str = "average", **others: Any) -> Needs:
        outputs = {"logits", "validation"} if combine == "validation" else {"logits"}
        return replace(cls.needs, teacher=frozenset(outputs))

    @classmethod
    def labelled(cls, roles: Sequence[str], /, **arguments: Any) -> list[str]:
        return only_target(roles)

    def __init__(
        self,
        context: PhaseContext,
        *,
        temperature: float = 4.0,
        weight: float = 0.9,
        combine: Literal["average", "validation", "agreement"] = "average",
    ) -> None:
        need_mixture("kd", temperature, weight)
        if not context.teachers:
            raise Problem("kd needs a teacher: use it in a phase with `teachers: [source]`, such as transfer=kd.")
        self.temperature, self.weight, self.combine, self.teachers = temperature, weight, combine, context.teachers
        by_validation = combine == "validation" and len(context.teachers) > 1
        if by_validation and (context.validation is None or not all(each is not None for each in context.validation)):
            raise Problem(
                "kd: combine=validation weighs teachers by their loss on the target's validation split, but "
                f"{'there is none' if context.validation is None else 'not every teacher reads it'}. Raise target.val, or use "
                "combine=average."
            )
        self.log_shares = torch.zeros(len(context.teachers))
        if by_validation:
            self.log_shares = -torch.tensor([float(each or 0) for each in context.validation or ()])

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return by_logits(network, batches, self.teachers, self.weight, self._term)

    def _term(self, logits: Tensor, taught: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        if taught.shape[1] == 1:
            return mean(distillation(logits, taught[:, 0], self.temperature), seen[:, 0])
        log_each = functional.log_softmax(taught / self.temperature, dim=2)
        log_shares = self.log_shares.to(taught) if self.combine != "agreement" else agreement(log_each, seen)
        log_shares = log_shares.expand(seen.shape).masked_fill(~seen, -torch.inf)
        # Examples that no teacher can read are masked below; their shares only must be finite.
        log_shares = log_shares.masked_fill(~seen.any(1, keepdim=True), 0).log_softmax(1)
        log_taught = (log_shares.unsqueeze(2) + log_each).logsumexp(1)
        return mean(divergence(logits, log_taught, self.temperature), seen.any(1))


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`tau^2 KL(softmax(teacher / tau) || softmax(student / tau))`, `[batch]` of logits `[batch, classes]`."""
    return divergence(student, functional.log_softmax(teacher / temperature, dim=1), temperature)


def divergence(student: Tensor, log_taught: Tensor, temperature: float) -> Tensor:
    """`tau^2 KL(exp(log_taught) || softmax(student / tau))`, `[batch]`."""
    log_student = functional.log_softmax(student / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_taught, reduction="none", log_target=True).sum(1)


def agreement(log_each: Tensor, seen: Tensor) -> Tensor:
    """`-1 / (K - 1) sum_{j != k} KL(p_j || p_k) [batch, teachers]` over the K teachers that can read the example, of `log p
    [batch, teachers, classes]`.
    """
    apart = (log_each.exp().unsqueeze(2) * (log_each.unsqueeze(2) - log_each.unsqueeze(1))).sum(3)  # [batch, j, k]
    others = (seen.sum(1, keepdim=True) - 1).clamp_min(1)
    return -(apart * seen.unsqueeze(2)).sum(1) / others
