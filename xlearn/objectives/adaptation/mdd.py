"""MDD: margin disparity discrepancy between source and target, measured by an adversarial second head."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.adaptation.gradient_reversal import Reversal
from xlearn.objectives.parts.domains import classify, domains, need_domains
from xlearn.objectives.parts.layers import linear, second_head
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Mdd(Objective, nn.Module):
    """`weight (gamma E_s -log p'_y + E_t -log(1 - p'_y))` with `p' = softmax(h'(R f))` and y = argmax h(f) of the first
    head, with gradient reversal R (MDD; Zhang et al., ICML 2019, sec. 5). Added to the source's cross-entropy.

    The second head h' minimises it: it agrees with h on the source and disagrees on the target. The encoder of f `[n, width]`
    maximises it; h gets no gradient of it (argmax). The coefficient of R increases at a rate `alpha` up to `high`, which is 0.1
    in TLlib and in the authors' code. `log(1 - p)` is the logsumexp of the other classes' logits minus that of all (TLlib:
    log(1 - p + 1e-6); skada smooths p by 0.1, and pairs each target example with the labels of all).
    `hidden`: units of the hidden layer of h'; 0: h' is linear, and initialised with h (the authors start from a random h' and a
    random f; here f and h are trained on the source, and a random h' would destroy them).

    Raises: `Problem` for a negative weight or hidden, gamma, alpha or high not above 0, fewer than two classes, and without
    both domains.
    """

    needs = Needs(labels=False, unlabeled=True, below_heads=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        weight: float = 0.1,
        gamma: float = 4.0,
        hidden: int = 0,
        alpha: float = 10.0,
        high: float = 0.1,
    ) -> None:
        super().__init__()
        if weight < 0:
            raise Problem(f"mdd: weight={weight}: give 0 or more, e.g. 0.1.")
        if not gamma > 0:
            raise Problem(f"mdd: gamma={gamma}: give more than 0, e.g. 4.")
        if hidden < 0:
            raise Problem(f"mdd: hidden={hidden}: give 0 for a linear second head, or a number of units, e.g. 64.")
        classes, width = need_domains(context, "mdd"), context.network.width
        if classes < 2:
            raise Problem(f"mdd: the target has {classes} class, so two heads cannot disagree. Choose a task with 2 or more.")
        self.weight, self.gamma = weight, gamma
        self.reversal = Reversal(context.steps, alpha=alpha, high=high)
        if hidden:
            inner, last = linear(width, hidden, context.network, "mdd hidden"), linear(hidden, classes, context.network, "mdd")
            self.head: nn.Module = nn.Sequential(inner, nn.ReLU(), last)
        else:
            self.head = second_head(context.network, context.tasks[UNLABELED].labels.key, "mdd", apart=0.0)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            predicted = [classify(network, batches, features).argmax(1) for features in (both.source, both.target)]
            source, target = (self.head(self.reversal(features)) for features in (both.source, both.target))
            return {"mdd": self.weight * disparity(source, predicted[0], target, predicted[1], self.gamma)}

    def follow(self, network: Network) -> None:
        self.reversal.follow(network)


def disparity(source: Tensor, source_labels: Tensor, target: Tensor, target_labels: Tensor, gamma: float) -> Tensor:
    """`gamma mean_s -log p_y + mean_t -log(1 - p_y)` of logits `[n, classes]`, `[m, classes]` with h's classes, int64."""
    own = functional.one_hot(target_labels, target.shape[1]).bool()
    others = target.masked_fill(own, -torch.inf).logsumexp(1)
    return gamma * functional.cross_entropy(source, source_labels) + (target.logsumexp(1) - others).mean()
