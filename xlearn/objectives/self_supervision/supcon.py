"""SupCon: supervised contrastive learning, with all views of a class as positives."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.projector import pairs_of_views, projector
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class SupCon(SelfSupervised):
    """L_out of two views per example, on unit vectors z, the projected features (Khosla et al., NeurIPS 2020, eq. 2):

        mean over the 2N views i of -1/|P(i)| sum_{p in P(i)} log[ exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t) ],

    P(i) all other views of examples of i's class, including the other view of the same example; t the temperature. Eq. 2 sums
    over i; the mean is that of the authors' code, whose factor t / (base temperature) is left out here, as in
    pytorch-metric-learning.
    Of mixed labels the heavier class counts. One loss per role, among the examples of its batch.
    It uses labels, but trains no head; a later phase trains it.

    Raises: `Problem` for a temperature not above 0, and for width or hidden below 1; needs batches of two examples.
    """

    needs = Needs(trains_head=False, below_heads=True, views=True, raw_inputs=True, runs_encoders=True, batch=2)

    def __init__(self, context: PhaseContext, *, width: int = 64, hidden: int = 128, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 0:
            raise Problem(f"supcon: temperature={temperature}: give more than 0, e.g. 0.1.")
        for task in context.tasks.values():
            need_classes(task.labels, "supcon", "Use pretrain=simclr.")
        self.context, self.temperature = context, temperature
        self.projector = projector(context.network.width, width, hidden, context.network, "supcon projector")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, one, other in pairs_of_views(self.context, network, batches, self.monitor):
            with torch.autocast(one.device.type, enabled=False):
                labels, rows = batches[role].labels, batches[role].rows
                if rows is not None:  # tasks of the same examples: these have a label
                    one, other = one[rows], other[rows]
                classes = labels.argmax(1) if labels.is_floating_point() else labels
                found = supervised_contrast(self.projector(one), self.projector(other), classes, self.temperature)
            losses[f"supcon_{role}"] = found
        return losses


def supervised_contrast(one: Tensor, other: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L_out, mean over anchors, of two views `float [n, width]` of examples with `labels int64 [n]`. If all labels differ, it
    is NT-Xent.
    """
    unit = functional.normalize(torch.cat([one, other]), dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    scores = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    classes = labels.repeat(2)
    positive = (classes == classes.unsqueeze(1)) & ~itself
    # Not multiplied by the mask: -inf * 0 is NaN.
    logs = torch.where(positive, scores.log_softmax(1), 0)
    return -(logs.sum(1) / positive.sum(1)).mean()
