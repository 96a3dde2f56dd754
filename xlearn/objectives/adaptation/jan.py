"""JAN: match the joint distributions of features and predictions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.adaptation.kernels import Estimator, discrepancy, gaussian, squared_distances
from xlearn.objectives.parts.domains import classify, domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class Jan(Objective):
    """`weight * MMD^2_k` of both domains with the product kernel `k = k_f(f, f') * k_p(p, p')` over two layers: the features f
    `[batch, width]` below the heads, and the predictions p = softmax(h(f)) `[batch, classes]`, not the logits (Long et al.,
    ICML 2017, without the adversarial variant).

    k_f is the sum of Gaussian kernels of `Mmd`; `k_p = exp(-||p - p'||^2 / (2 sigma^2))` with a fixed `sigma`. Softmax, widths
    and sigma = 0.92 are TLlib's; the paper takes the median squared distance for each layer. The predictions of both domains
    are the head's; the source's labels are not used. Gradients reach features and head. `estimator` as for `Mmd`.

    Raises: `Problem` for a weight below 0, a sigma not above 0, and without a source or unlabelled target. `unbiased` needs 2
    examples in a batch.
    """

    needs = replace(NO_LABELS, unlabeled=True)

    @classmethod
    def needed(cls, *, estimator: Estimator = "unbiased", **others: Any) -> Needs:
        return replace(cls.needs, batch=2 if estimator == "unbiased" else 1)

    def __init__(
        self, context: PhaseContext, *, weight: float = 1.0, sigma: float = 0.92, estimator: Estimator = "unbiased"
    ) -> None:
        need_domains(context, "jan")
        if weight < 0:
            raise Problem(f"jan: weight={weight}: give 0 or more, e.g. 1.0.")
        if sigma <= 0:
            raise Problem(f"jan: sigma={sigma}: the width of the kernel on predictions. Give more than 0, e.g. 0.92.")
        self.weight, self.sigma, self.estimator = weight, sigma, estimator

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            features = torch.cat([both.source, both.target])
            predictions = classify(network, batches, features).softmax(1)
            kernel = joint(features, predictions, self.sigma)
            return {"jan": self.weight * discrepancy(kernel, len(both.source), self.estimator)}


def joint(features: Tensor, predictions: Tensor, sigma: float) -> Tensor:
    """`k_f * k_p [n, n]` of `[n, width]` and `[n, classes]`."""
    return gaussian(squared_distances(features)) * torch.exp(-squared_distances(predictions) / (2 * sigma**2))
