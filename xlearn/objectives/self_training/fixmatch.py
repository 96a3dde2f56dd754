"""FixMatch: pseudo-labels of a weak view train a strong view."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.objectives.parts.weak_strong import need_views, strong, weak
from xlearn.objectives.self_training.pseudo_label import need_threshold, on_confident
from xlearn.objectives.self_training.pseudo_labels import confident
from xlearn.runtime.needs import Needs


class FixMatch(Objective):
    """`weight * 1/n sum_i 1[max q_i >= threshold] CE(z(strong(x_i)), argmax q_i)`, `q_i = softmax(z(weak(x_i)))`, over all n
    unlabelled examples of the batch, added to the cross-entropy of the labelled ones (Sohn et al., NeurIPS 2020, eq. 4).

    Labels have no gradient. As in the authors' code both passes run in training mode, with dropout and updates of running
    statistics; here each view has a separate pass. The views are those of `xlearn.objectives.parts.weak_strong` instead of
    flips and RandAugment; the labelled examples have the phase's augmentations.

    Raises: `Problem` for a weight below 0, a threshold outside [0, 1], without unlabelled target examples, and for texts of a
    tokeniser with another unknown token.
    """

    needs = Needs(labels=False, unlabeled=True)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, threshold: float = 0.95) -> None:
        need_domains(context, "fixmatch", source=False)
        need_threshold("fixmatch", weight, threshold)
        need_views(context, "fixmatch")
        self.weight, self.threshold = weight, threshold

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        batch = batches[UNLABELED]
        with torch.no_grad():
            given = classify(network, batches, network.features(weak(batch)))
        # Weights cast by autocast without gradient must not be reused for the strong view.
        torch.clear_autocast_cache()
        labels, mask = confident(given, self.threshold)
        logits = classify(network, batches, network.features(strong(batch)))
        return {"fixmatch": self.weight * on_confident(logits, labels, mask)}
