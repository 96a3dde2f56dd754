"""Selection rules: scores that select checkpoints and runs of adaptation, most of them without target labels.

A phase evaluates its network several times. A rule scores each evaluation, and the weights with the highest score are kept.
`last` keeps the last weights and has no score. `source_val` is the metric on the sources' validation split. `oracle` is the
metric on the target's validation split: it uses labels that adaptation must not use, and is an upper bound. The other six
read no target labels (`LABEL_FREE`); `importance_weighted` and `dev` need the labels of the sources' validation split.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from xlearn.runtime.names import LABEL_FREE as LABEL_FREE
from xlearn.runtime.names import RULES as RULES
from xlearn.selection.density_ratio import density_ratio


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The outputs of a network at one evaluation, all on the CPU, without gradients.

    source_features [n, width], source_logits [n, classes], source_labels int64 [n]: the sources' validation split (None in a
    run without source);
    training_features [k, width]: a sample of the sources' training examples (None in a run without source);
    target_features [m, width], target_logits [m, classes]: a sample of the target's unlabelled training examples;
    target_val_logits [v, classes], target_val_labels int64 [v]: the target's validation split, which only `oracle` reads (None
    without one);
    mixed_logits: mapping {"inter": [m, classes], "intra": [m, classes]}, the logits of mixed inputs, with "inter_labels",
    "intra_labels" int64, -1 for an example without partner; such rows and kinds may be left out (None if inputs cannot be
    mixed): see mixval.
    """

    source_features: Tensor | None = None
    source_logits: Tensor | None = None
    source_labels: Tensor | None = None
    training_features: Tensor | None = None
    target_features: Tensor
    target_logits: Tensor
    target_val_logits: Tensor | None = None
    target_val_labels: Tensor | None = None
    mixed_logits: Mapping[str, Tensor] | None = None

    @cached_property
    def weighted(self) -> tuple[Tensor, Tensor] | None:
        """(`w(x_i)` of `density_ratio`, the 0-1 losses), double `[n]` each, over the sources' validation split, cached for all
        rules; None if a value is not finite. Raises `ValueError` without a source.
        """
        parts = (self.source_features, self.training_features, self.source_logits, self.source_labels)
        features, training, logits, labels = parts
        if features is None or training is None or logits is None or labels is None:
            raise ValueError("the weighted risk needs the source's validation split and training features")
        if not all(bool(each.isfinite().all()) for each in (features, training, self.target_features, logits)):
            return None
        losses = (logits.argmax(1) != labels).double()
        return density_ratio(training, self.target_features, features), losses


def scores(seen: Seen, metric: Callable[[Tensor, Tensor], float]) -> dict[str, float]:
    """The score of each rule that can be computed, in the order of `RULES`; higher is better for all of them.

    `metric(logits, labels)` computes `source_val` and `oracle`, with higher values better. `last` is left out, and each rule
    with missing inputs: no source, no validation split, no mixed inputs, fewer than 2 examples. A network with outputs
    that are not finite has the score -inf, so that it is never selected.
    """
    # Imported here, because these modules import `Seen`.
    from xlearn.selection import dev, entropy, importance_weighted, infomax, mixval, snd

    found: dict[str, float] = {}
    if seen.source_logits is not None and seen.source_labels is not None and len(seen.source_labels):
        found["source_val"] = _measured(metric, seen.source_logits, seen.source_labels)
        weighing = (seen.source_features, seen.training_features, seen.target_features)
        if all(each is not None and len(each) > 1 for each in weighing):
            found["importance_weighted"] = importance_weighted.importance_weighted(seen)
            found["dev"] = dev.dev(seen)
    if len(seen.target_logits) > 1:
        found["entropy"] = entropy.entropy(seen.target_logits)
        found["infomax"] = infomax.infomax(seen.target_logits)
        found["snd"] = snd.snd(seen.target_logits)
        if seen.mixed_logits is not None:
            found["mixval"] = mixval.mixval(seen)
    if seen.target_val_logits is not None and seen.target_val_labels is not None and len(seen.target_val_labels):
        found["oracle"] = _measured(metric, seen.target_val_logits, seen.target_val_labels)
    return found


def _measured(metric: Callable[[Tensor, Tensor], float], logits: Tensor, labels: Tensor) -> float:
    value = float(metric(logits, labels)) if bool(logits.isfinite().all()) else math.nan
    return -math.inf if math.isnan(value) else value
