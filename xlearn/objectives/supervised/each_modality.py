"""The supervised loss of all modalities together, and of each modality separately."""

from collections.abc import Mapping

from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class EachModality(Objective):
    """`CE(y, all modalities) + weight * sum_m CE(y, only modality m)` per role. CE is the loss of the task's label space:
    cross-entropy for classes. The first is the mean over the examples of the batch with a label for the role; that of m the
    mean over those of them that have m (0 if there is none).

    It prevents that a strong modality suppresses the training of the others (Wang et al., CVPR 2020; without their weights from
    overfitting rates). With `fusion=late` and weight > 0 each modality is a separate classifier, and the joint prediction is
    their average. Raises `Problem` for a weight below 0.
    """

    needs = Needs(raw_inputs=True)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0) -> None:
        if weight < 0:
            raise Problem(f"objective.weight={weight}: give 0 (plain cross-entropy) or more.")
        self.weight = weight

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            with network.serving(batch):
                losses |= self._of(network, role, batch)
        return losses

    def _of(self, network: Network, role: str, batch: Batch) -> dict[str, Tensor]:
        tokens, head = network.tokens(batch), network.head[batch.space.key]

        def labelled(values: Tensor) -> Tensor:
            return values if batch.rows is None else values[batch.rows]

        def outputs(*names: str) -> Tensor:
            return batch.space.outputs(head, labelled(network.joined({name: tokens[name] for name in names})))

        losses = {role: batch.space.loss(outputs(*tokens), batch.labels)}
        for name in tokens if len(tokens) > 1 else ():
            alone = outputs(name)
            found = batch.space.losses(alone, batch.labels)
            there = labelled(batch.present[name]) if name in batch.present else None
            mean = found.mean() if there is None else (found * there).sum() / there.sum().clamp_min(1)
            losses[f"{role}_{name}"] = self.weight * mean
        return losses
