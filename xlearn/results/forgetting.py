"""Forgetting: the metrics on a source's test split before the transfer and after it."""

import copy
from typing import Any

from xlearn.data.leakage import need_disjoint
from xlearn.learners.learner import Learner
from xlearn.measuring import Asked
from xlearn.measuring.cached_logits import predictions
from xlearn.metrics.measure import scalars
from xlearn.networks.predictions import predict
from xlearn.phases.encoder_cache import encode
from xlearn.results.opened import Opened
from xlearn.runtime.errors import Problem
from xlearn.sharing.together import alone


def forgetting(learner: Learner, opened: Opened, asked: Asked) -> dict[str, Any]:
    """Per source, the metrics on its test split `before` and `after` the transfer, and the difference `lost` (above 0:
    forgotten).

    `after` uses the encoders, fusion and trunk of the target's network, with the target's head if the classes are the same,
    else with the source's. Empty if no weights were copied, if no phase followed, or without a common modality.

    A source is not measured, with the reason in `not_measured`, if the target, another
    source or a checkpoint may have learned from its test split, or if no phase trained its head.
    """
    if learner.carried is None or not learner.carried.copied or not learner.phases:
        return {}
    source_network, target = learner.source_networks[0], learner.roles["target"]["target"]
    now = alone(learner.network, "target", target.labels.key)
    found: dict[str, dict[str, Any]] = {}
    for role, task in source_network.roles["source"].items():
        names = sorted(task.inputs.keys() & now.encoder.keys() & source_network.network.encoder.keys())
        if not names or now.width != source_network.network.width:
            continue
        others = [each for other, each in source_network.roles["source"].items() if other != role]
        reason = source_network.test_unusable.get(role, "")
        if not any(name.startswith(f"head.{task.labels.key}.") for name in source_network.learned):
            reason = "No head for its classes was learned before."
        try:
            need_disjoint([*others, target], task, f"source {role}")
        except Problem as problem:
            reason = str(problem)
        if reason:
            found[role] = {"name": task.name, "not_measured": reason}
            continue
        test = opened(role).only(*names)
        encoded = encode(source_network.network, test, sorted(source_network.pretrained & {*names}), asked.machine)
        before = predictions(source_network.network, encoded, asked.machine).measure()
        own = task.labels == target.labels
        if not own:
            now.head[task.labels.key] = copy.deepcopy(source_network.network.head[task.labels.key])
        # Encoders that no phase trained have encoded the split before (cached).
        still = encode(now, test, sorted((source_network.pretrained & {*names}) - learner.moved()), asked.machine)
        after = predict(now, still, asked.machine).measure()
        lost = {
            name: (value - scalars(after)[name]) * (1 if task.labels.metrics[name] else -1)
            for name, value in scalars(before).items()
        }
        found[role] = {
            "name": task.name, "head": "target" if own else "source", "before": before, "after": after, "lost": lost,
        }  # fmt: skip
    return found
