"""CRD: contrastive representation distillation of the teacher's embeddings."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.match import Match
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.parts.similarities import similarities
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Crd(Objective, nn.Module):
    """`-weight * mean_i [log h(i, i) + sum_{j in N_i} log(1 - h(i, j))]`, once with the student's embedding as the anchor i and
    the teacher's as j, and once the other way round, on every role that the teacher can read (Tian et al., ICLR 2020, eq.
    17-19).
    `h(i, j) = e^s / (e^s + N / M)`, `s = g_s(i) . g_t(j) / temperature`: g are unit vectors of `width` numbers, from two
    linear maps of the features below the heads, trained with the phase; M is the number of training examples of the role, N =
    |N_i|.
    This is the variant with negatives from the batch. The paper draws N = 16384 from a memory bank of all embeddings; here N is
    less than the batch size, both embeddings of a negative have gradients, and N / M is smaller. `negatives=other_class`: the
    batch's examples of other classes, as in the paper for labelled data (the heavier class of mixed labels); `all`: all other
    examples. An anchor without negatives adds 0. Only examples with a modality of the teacher count. As in eq. 19, e^s is not
    divided by the constant of the authors' code. The authors' weight is 0.8; small students do not learn with it.

    Raises: `Problem` for a weight below 0, a width below 1, a temperature not above 0, and without exactly one teacher; needs
    batches of two examples.
    """

    needs = Needs(labels=False, trains_head=False, below_heads=True, teacher=frozenset({"features"}), batch=2)

    def __init__(
        self,
        context: PhaseContext,
        *,
        width: int = 128,
        temperature: float = 0.07,
        weight: float = 0.02,
        negatives: Literal["other_class", "all"] = "other_class",
    ) -> None:
        super().__init__()
        if width < 1:
            raise Problem(f"crd: width={width}: give 1 or more, e.g. 128.")
        if not temperature > 0:
            raise Problem(f"crd: temperature={temperature}: give more than 0, e.g. 0.07.")
        if weight < 0:
            raise Problem(f"crd: weight={weight}: give 0 or more, e.g. 0.8.")
        # `Match` has the teacher and is no module: a registered module would be trained.
        self.match = Match(context, "crd", [(None, None)])
        [((own,), (given,))] = self.match.shapes
        self.student = linear(own, width, context.network, "crd student")
        self.teacher = linear(given, width, context.network, "crd teacher")
        self.temperature, self.weight, self.negatives = temperature, weight, negatives
        for task in context.tasks.values():
            need_classes(task.labels, "crd", "Use transfer=rkd or fitnets.")
        self.examples = {role: len(task.train) for role, task in context.tasks.items()}

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            for own, given, seen in self.match(network, batch):
                one = functional.normalize(self.student(own), dim=1)
                other = functional.normalize(self.teacher(given), dim=1)
                scores = similarities(one, other) / self.temperature
                negatives = self._negatives(batch.labels) & seen & seen.unsqueeze(1)
                both = contrast(scores, negatives, self.examples[role]) + contrast(scores.T, negatives, self.examples[role])
                losses[f"{role}_crd"] = self.weight * both / seen.sum().clamp_min(1)
        return losses

    def _negatives(self, labels: Tensor) -> Tensor:
        """Whether two examples are negatives of each other, `bool [batch, batch]`."""
        if self.negatives == "all":
            return ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        classes = labels.argmax(1) if labels.is_floating_point() else labels
        return classes != classes.unsqueeze(1)


def contrast(scores: Tensor, negatives: Tensor, examples: int) -> Tensor:
    """`-sum_i [log h(i, i) + sum_j log(1 - h(i, j))]` over rows i, the anchors, and their `negatives` j, of scores s `[n, n]`;
    `examples` is M.
    """
    counts = negatives.sum(1, keepdim=True)
    # log h = -softplus(log(N / M) - s), log(1 - h) = -softplus(s - log(N / M)): nothing overflows.
    above = scores - (counts.clamp_min(1) / examples).log()
    positive = functional.softplus(-above.diagonal()) * (counts.squeeze(1) > 0)
    return positive.sum() + (functional.softplus(above) * negatives).sum()
