"""Label shift: black-box shift estimation (BBSE), and its correction in the head."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine
from xlearn.solvers import Solver

# The smallest ratio of shares: a class that is never predicted stays possible.
LEAST = 1e-3
SINGULAR = 1e-4


class Bbse(Solver):
    """Estimate the target's class shares from predictions, and correct the head's biases (BBSE; Lipton et al., ICML 2018,
    eq. 5): `C w = mu` with `C_ij = P_s(predicted i, true j)` on the source's validation split and `mu_i = P_t(predicted i)` on
    the unlabelled target; negative w are set to 0.

    The posterior is corrected, `b_j + log(q_t(j) / p(j))` with `q_t = w p_s` of the validation split and p the class shares of
    the training examples, the head's prior (Saerens et al., 2002): a source trained with class weights, logit adjustment or
    sampling=balanced has another prior, and is refused. This is exact under pure label shift if the head's probabilities are
    calibrated; Lipton et al. retrain with weights w instead. Reports `weights` and the estimated shares `target`, in the order
    of the classes. If C is (nearly) singular, the head does not change, and the run reports a note.

    Raises: `Problem` without a validation split of the source.
    """

    needs = replace(Solver.needs, class_shares=True)

    def __init__(self, network: Network, tasks: Mapping[str, Task]) -> None:
        self.given = [tasks[role].val for role in sources(tasks) if len(tasks[role].val)]
        if not self.given:
            raise Problem("bbse needs the labels of the source's validation split, but there is none. Raise the source's val.")
        self.counts = torch.stack([tasks[role].class_counts() for role in sources(tasks)]).sum(0)
        self.network, self.task = network, tasks[UNLABELED]

    def __call__(self, machine: Machine) -> dict[str, Any]:
        network, task, classes = self.network, self.task, len(self.task.labels.classes)
        predicted = torch.cat([logits(network, each, machine).argmax(1) for each in self.given])
        labels = torch.cat([each.labels for each in self.given])
        target = torch.bincount(logits(network, task.train, machine).argmax(1), minlength=classes).double()
        weights = shift(predicted, labels, target / target.sum())
        if weights is None:
            return {
                "note": "bbse did not change the head: the confusion matrix on the source's validation split is singular, so "
                "the class shares cannot be estimated"
            }
        shares = torch.bincount(labels, minlength=classes).double()
        estimated = weights * shares / shares.sum()
        estimated = estimated / estimated.sum()
        prior = self.counts.double() / self.counts.sum()
        head = network.head[task.labels.key]
        assert isinstance(head, torch.nn.Linear)
        with torch.no_grad():
            head.bias.add_((estimated / prior.clamp_min(1e-9)).clamp_min(LEAST).log().to(head.bias))
        return {"label_shift": {"weights": weights.tolist(), "target": estimated.tolist()}}


def shift(predicted: Tensor, labels: Tensor, target: Tensor) -> Tensor | None:
    """The weights `w [classes]` from the source's predictions and labels `[n]` and the shares `[classes]` of the target's
    predictions; None if C is (nearly) singular.
    """
    count = len(target)
    confusion = torch.bincount(predicted * count + labels, minlength=count * count).double().reshape(count, count) / len(labels)
    if float(torch.linalg.svdvals(confusion)[-1]) < SINGULAR / count:
        return None
    return torch.linalg.solve(confusion, target).clamp_min(0)
