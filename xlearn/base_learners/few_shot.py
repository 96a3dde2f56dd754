"""Few-shot evaluation: many episodes, each learned from the same weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlearn.data.episodes import Episodes
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network, tensors
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.hashing import derive, digest
from xlearn.runtime.machine import Machine, place
from xlearn.runtime.memory import Kept
from xlearn.runtime.randomness import random_state, set_random_state

# Number of episodes per forward pass.
TOGETHER = 10
# Two-sided 95 % quantile of the normal distribution: there are hundreds of episodes.
NORMAL = 1.96


@dataclass(frozen=True)
class Predicted:
    """Predictions of the queries: `logits float [moments, episodes, queries, outputs]`, `labels [episodes, queries, ...]`. A
    moment is a number of inner steps.
    """

    logits: Tensor
    labels: Tensor


# Number of cached predictions of baselines, for the next run of a sweep.
HELD = 32
_held: Kept[Predicted] = Kept(HELD)


def predicted(
    network: Network, learner: Any, episodes: Episodes, count: int, machine: Machine, every: bool = True
) -> Predicted:
    """Learn and predict the first `count` episodes, after `every` inner step or only after the last. The network and torch's
    global random state do not change.
    """
    place(network, machine)
    modes, state = [(module, module.training) for module in network.modules()], random_state()
    network.eval()
    logits, labels = [], []
    try:
        # cuDNN has no gradients of recurrent layers in evaluation mode.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
            for first in range(0, count, TOGETHER):
                numbers = range(first, min(first + TOGETHER, count))
                given = episodes.some(numbers)
                torch.manual_seed(derive(0, "few shot", first))
                found = learner.curve(network, given["support"], given["query"], len(numbers), every)
                logits.append(found.float().cpu())
                labels.append(given["query"].labels.unflatten(0, (len(numbers), -1)).cpu())
    finally:
        set_random_state(state)
        for module, training in modes:
            module.training = training
    return Predicted(torch.cat(logits, 1), torch.cat(labels))


def once(network: Network, learner: Any, episodes: Episodes, count: int, machine: Machine, described: Any) -> Predicted:
    """`predicted` after the last inner step, cached by network and episodes: every run of a sweep measures the same baseline.
    `described`: the learner and the episodes, for the cache key.
    """
    key = digest([weights_digest(tensors(network)), network.document, described, count, machine.signature()], 20)
    return _held(key, lambda: predicted(network, learner, episodes, count, machine, every=False))


def scores(found: Predicted, space: LabelSpace, metric: str, moment: int = -1) -> Tensor:
    """The metric of each episode, `float64 [episodes]`."""
    return space.scores_by_episode(metric, found.logits[moment], found.labels)


def metrics(found: Predicted, space: LabelSpace) -> dict[str, Any]:
    """The metrics over the queries of all episodes. Episodes have equally many queries, so these are also means over
    episodes.
    """
    return space.measure_episodes(found.logits[-1], found.labels)


def interval(values: Tensor) -> float:
    """Half-width of the 95 % interval of the mean over episodes, `1.96 s / sqrt(n)`."""
    return float(NORMAL * values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")


def summary(found: Predicted, space: LabelSpace, metric: str) -> dict[str, Any]:
    """For `result.json`: the metric's mean over episodes and the half-width of its interval, after each inner step."""
    moments = [scores(found, space, metric, moment) for moment in range(len(found.logits))]
    curve = {"step": [*range(len(moments))], metric: [float(each.mean()) for each in moments]}
    curve["interval"] = [interval(each) for each in moments]
    return {"count": found.logits.shape[1], "metric": metric, "interval": curve["interval"][-1], "curve": curve}
