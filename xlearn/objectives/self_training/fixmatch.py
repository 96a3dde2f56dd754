"""FixMatch: a weak view gives the label, a strong view is to follow."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.objectives.parts.weak_strong import need_views, strong, weak
from xlearn.objectives.self_training.pseudo_label import need_threshold, on_confident
from xlearn.objectives.self_training.pseudo_labels import confident


class FixMatch:
    """`weight * 1/n sum_i 1[max q_i >= threshold] CE(z(strong(x_i)), argmax q_i)`, `q_i = softmax(z(weak(x_i)))`, over all n
    unlabelled examples of the batch, beside the cross-entropy of the labelled ones (Sohn et al., NeurIPS 2020, eq. 4).

    Labels carry no gradient; the weak pass runs in training mode as the strong one, as in the authors' code: with dropout, and
    batch statistics move. Both are passes of their own, over one view each. The views are those of
    `xlearn.objectives.parts.weak_strong` in the place of flips and RandAugment; the labelled examples are augmented as the
    phase says.

    Raises `Problem` for a weight below 0, a threshold outside [0, 1], in a phase that reads no unlabelled target, and for texts
    of a tokeniser whose unknown token is not known.
    """

    unlabeled = True

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, threshold: float = 0.95) -> None:
        need_domains(context, "fixmatch", source=False)
        need_threshold("fixmatch", weight, threshold)
        need_views(context, "fixmatch")
        self.weight, self.threshold = weight, threshold

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        batch = batches[UNLABELED]
        with torch.no_grad():
            given = classify(network, batches, network.features(weak(batch)))
        # Weights that were cast without a gradient must not serve the strong view.
        torch.clear_autocast_cache()
        labels, mask = confident(given, self.threshold)
        logits = classify(network, batches, network.features(strong(batch)))
        return {"fixmatch": self.weight * on_confident(logits, labels, mask)}
