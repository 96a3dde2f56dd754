"""SHOT: source-free adaptation of the encoder to the frozen source head."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, need_domains
from xlearn.objectives.self_training.entropy_min import information_loss
from xlearn.objectives.self_training.feature_bank import FeatureBank
from xlearn.objectives.self_training.pseudo_labels import by_centroids, missing
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Shot(Objective, nn.Module):
    """`[mean_i H(p_i) - H(mean_i p_i)] + beta * mean_i CE(z_i, yhat_i)` on the unlabelled batch, for an encoder with a frozen
    head (Liang et al., ICML 2020, eq. 3 and 7). The phase's objective; the cross-entropy of labelled target examples, if any,
    is added (their mean, without class weights). The means are over all unlabelled examples of the batch.

    yhat are pseudo-labels by the nearest centroid (`by_centroids`: `rounds`, `members`) of the features of all unlabelled
    examples, recomputed `refreshes` times over the phase, evenly spaced from its first step on (the authors: once per epoch on
    digits, 15 times on objects). `beta` is 0.1 for digits in the paper, 0.3 otherwise. The head is a plain linear layer,
    without their weight normalisation and bottleneck; label smoothing is an option of the source's phase.
    `missing bool [classes]`: the classes without a pseudo-label at the last refresh; the records of the phase
    (`missing_classes`) and the summary of the run name them.

    Raises: `Problem` for a beta below 0, for less than one refresh, for rounds or members below 0, without unlabelled target
    examples, and with `require_all`, in training, for a class without a pseudo-label.
    """

    needs = Needs(unlabeled=True)

    labels: Tensor
    missing: Tensor

    def __init__(
        self,
        context: PhaseContext,
        *,
        beta: float = 0.1,
        refreshes: int = 10,
        rounds: int = 1,
        members: int = 1,
        require_all: bool = False,
    ) -> None:
        super().__init__()
        classes = need_domains(context, "shot", source=False)
        if beta < 0:
            raise Problem(f"shot: beta={beta}: give 0 or more, e.g. 0.1.")
        for name, value, least in (("refreshes", refreshes, 1), ("rounds", rounds, 0), ("members", members, 0)):
            if value < least:
                raise Problem(f"shot: {name}={value}: give {least} or more.")
        self.beta, self.rounds, self.members, self.require_all = beta, rounds, members, require_all
        examples = context.tasks[UNLABELED].train
        self.names = examples.space.classes
        self.bank = FeatureBank(examples, context.network.width, every=max(1, -(-context.steps // refreshes)))
        self.register_buffer("labels", torch.zeros(len(examples), dtype=torch.int64))
        self.register_buffer("missing", torch.ones(classes, dtype=torch.bool))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        if network.training and self.bank.due():
            self._label(network)
        batch = batches[UNLABELED]
        logits = classify(network, batches, network.features(batch))
        with torch.autocast(logits.device.type, enabled=False):
            labels = self.labels[batch.taught["position"]]
            losses = {
                "shot_information": information_loss(logits, 1.0),
                "shot_pseudo_labels": self.beta * functional.cross_entropy(logits, labels),
            }
            for role, labelled in batches.items():
                if role != UNLABELED:
                    losses[role] = labelled.space.loss(network(labelled).float(), labelled.labels)
        return losses

    def follow(self, network: Network) -> None:
        self.bank.follow()

    def log(self) -> dict[str, list[str]]:
        """For the record of an evaluation: the classes without a pseudo-label at the last refresh, if any."""
        without = [name for name, lacks in zip(self.names, self.missing.tolist(), strict=True) if lacks]
        return {"missing_classes": without} if without else {}

    def _label(self, network: Network) -> None:
        self.bank.refresh(network)
        self.labels.copy_(by_centroids(self.bank.features, self.bank.probabilities, self.rounds, self.members))
        self.missing.copy_(missing(self.labels, len(self.names)))
        if self.require_all and (without := self.log().get("missing_classes")):
            raise Problem(
                f"shot: no unlabelled example has the pseudo-label {' or '.join(without)}, but require_all=true. The source's "
                "network may not recognise these classes on the target: train it longer, or set require_all=false."
            )
