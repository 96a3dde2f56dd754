"""Inter-domain mixup: examples interpolated between two environments."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional

from xlearn.data.task import Batch, mixed_inputs
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.generalization.environments import need_environments, risks
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class DomainMixup(Objective):
    """`mean over pairs (i, j) of l CE(z, y_i) + (1 - l) CE(z, y_j)`, z of `x = l x_i + (1 - l) x_j`: the environments, each a
    role, in a random order, each paired with the next and the last with the first; one `l ~ Beta(alpha, alpha)` for a pair
    (inter-domain mixup: Yan et al., 2020; Wang et al., ICASSP 2020; the variant of DomainBed). The phase's objective.

    Examples are paired by position in the batches; surplus examples of the longer batch are dropped. Images and numeric columns
    are mixed directly. The features below the heads are mixed instead for modalities without a `mix` (tokens, sounds), if
    examples lack a modality, or if the modalities differ. In evaluation mode nothing is mixed: the result is the cross-entropy
    by role.

    Raises: `Problem` for alpha not above 0, for fewer than two environments, and for environments with different classes.
    """

    needs = Needs(spaces=(Classes,))

    def __init__(self, context: PhaseContext, *, alpha: float = 0.2) -> None:
        roles = need_environments(context, "mixup")
        if not alpha > 0:
            raise Problem(f"mixup: alpha={alpha}: give more than 0, e.g. 0.2.")
        spaces = {role: context.tasks[role].labels for role in roles}
        for role, space in spaces.items():
            if space.key != (first := spaces[roles[0]]).key:
                raise Problem(
                    f"mixup mixes labels of all sources, but {roles[0]} has the classes {', '.join(first.classes[:8])}, {role} "
                    f"{', '.join(space.classes[:8])}. Choose sources with the same classes, or pretrain=supervised."
                )
        self.alpha = alpha

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        if not network.training:
            return risks(network, batches)
        given = [*batches.values()]
        order = torch.randperm(len(given)).tolist()
        losses = []
        for one, other in zip(order, [*order[1:], order[0]], strict=True):
            share = float(Beta(self.alpha, self.alpha).sample())
            losses.append(mixed_loss(network, given[one], given[other], share))
        return {"domain_mixup": torch.stack(losses).mean()}


def mixed_loss(network: Network, one: Batch, other: Batch, share: float) -> Tensor:
    """`share CE(z, y_one) + (1 - share) CE(z, y_other)` of `share one + (1 - share) other`."""
    count = min(len(one), len(other))

    def between(first: Tensor, second: Tensor) -> Tensor:
        return torch.lerp(second[:count].float(), first[:count].float(), share)

    whole = not (one.present or other.present) and one.rows is None and other.rows is None and one.encoded == other.encoded
    inputs = mixed_inputs(one, other, between) if whole else None
    if inputs is not None:
        logits = network(replace(one, inputs=inputs, labels=one.labels[:count], memo={}))
    else:
        features = between(_features(network, one), _features(network, other))
        with network.serving(one):
            logits = network.head[one.space.key](features)
    first, second = (functional.cross_entropy(logits.float(), each.labels[:count]) for each in (one, other))
    return share * first + (1 - share) * second


def _features(network: Network, batch: Batch) -> Tensor:
    features = network.features(batch)
    return features if batch.rows is None else features[batch.rows]
