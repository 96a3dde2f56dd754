"""Co-tuning: also fine-tune the source's head, on source classes predicted from the target's labels."""

import copy
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch, Examples
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.teaching import need_teacher
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

BATCH = 256


class CoTuning(Objective, nn.Module):
    """`lambda CE(h_s(f(x)), p(y_s | y_t))` on the target, added to its cross-entropy (You et al., NeurIPS 2020, eq. 3), for
    each head h_s of the source's network, copied at the start of the phase and trained: the mean over the target's examples,
    without class weights. lambda is `weight`.

    p(y_s | y_t) comes from the source's network g on the target's labelled examples (section 3.3). `direct`:
    `p(y_s | y_t) = mean over the examples of class y_t of g(x)`. `reverse`: p(y_t | y_s) is learned by multinomial logistic
    regression from g(x), and `p(y_s | y_t) ~ p(y_s) p(y_t | y_s)` with p(y_s) the mean of g over all examples, p(y_t | y_s) the
    regression at the one-hot y_s. g is not calibrated (the paper scales its temperature on source data). Classes with a
    single example are allowed for `direct`; two each for `reverse`.

    Raises: `Problem` without a teacher, for a weight below 0, for a class with too few examples, and if the source's heads have
    another width or read another form of the target.
    """

    needs = Needs(trains_head=False, below_heads=True, teacher=frozenset({"network"}))

    # The teacher reads the target in the student's form, once, at the start of the phase.

    def __init__(
        self, context: PhaseContext, *, weight: float = 1.0, relationship: Literal["direct", "reverse"] = "direct"
    ) -> None:
        super().__init__()
        teacher = need_teacher(context, "co_tuning")
        if weight < 0:
            raise Problem(f"co_tuning: weight={weight}: give 0 or more, e.g. 1.")
        task = context.tasks["target"]
        need_classes(task.labels, "co_tuning", "Use transfer=finetune.")
        needed = 1 if relationship == "direct" else 2
        for name, count in zip(task.labels.classes, task.class_counts().tolist(), strict=True):
            if count < needed:
                raise Problem(
                    f"co_tuning: class {name!r} of {task.name} has {count} labelled example(s), but "
                    f"relationship={relationship} needs {needed} per class. Raise shots"
                    f"{' or use relationship=direct' * (needed > 1)}."
                )
        if teacher.width != context.network.width:
            raise Problem(
                f"co_tuning: the source's heads read features of width {teacher.width}, but the target's network has width "
                f"{context.network.width}. Use the same encoder for both."
            )
        self.weight = weight
        self.head = copy.deepcopy(teacher.head)
        self.head.requires_grad_(True)
        labels = task.train.labels
        for key, given in _predictions(teacher, task.train).items():
            of = direct if relationship == "direct" else reverse
            # Not persistent: a resumed phase has the same teacher and computes them again.
            self.register_buffer(f"of_{key}", of(given, labels, len(task.labels.classes)), persistent=False)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        if (batch := batches.get("target")) is not None:
            features = network.features(batch)
            features = features if batch.rows is None else features[batch.rows]
            for key, head in self.head.items():
                wanted = self.get_buffer(f"of_{key}")
                labels = batch.labels
                with torch.autocast(labels.device.type, enabled=False):  # shares of classes in single precision
                    soft = wanted[labels] if not labels.is_floating_point() else labels @ wanted
                losses[f"co_tuning_{key}"] = self.weight * functional.cross_entropy(head(features), soft)
        return losses


def direct(given: Tensor, labels: Tensor, classes: int) -> Tensor:
    """`p(y_s | y_t) float [target classes, source classes]`: the mean of `given [n, source classes]` by class."""
    sums = torch.zeros(classes, given.shape[1]).index_add_(0, labels, given)
    return sums / torch.bincount(labels, minlength=classes).clamp_min(1).unsqueeze(1)


def reverse(given: Tensor, labels: Tensor, classes: int) -> Tensor:
    """`p(y_s | y_t) float [target classes, source classes]` by logistic regression and Bayes' rule."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(given.double().numpy(), labels.numpy())
    likelihood = torch.from_numpy(fitted.predict_proba(torch.eye(given.shape[1]).numpy()))  # [source, target]
    joint = given.double().mean(0).unsqueeze(1) * likelihood
    return (joint / joint.sum(0, keepdim=True)).T.float()


def _predictions(teacher: Network, examples: Examples) -> dict[str, Tensor]:
    """The source network's class probabilities of the examples, by head: `float [n, source classes]`."""
    device = next(teacher.parameters()).device
    teacher.eval()
    with torch.no_grad():
        parts = [teacher.features(examples.take(index).to(device)) for index in torch.arange(len(examples)).split(BATCH)]
        features = torch.cat(parts)
        return {key: head(features).float().softmax(1).cpu() for key, head in teacher.head.items()}
