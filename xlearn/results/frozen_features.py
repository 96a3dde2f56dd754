"""Whether training on a source has damaged a pretrained encoder: its score beside that of a linear probe on frozen features."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from xlearn.data.task import Examples, Task
from xlearn.label_spaces.classes import need_classes
from xlearn.learners.learner import Learner, SourceNetwork
from xlearn.measuring import Asked
from xlearn.metrics.paired import student
from xlearn.networks.evaluate import features
from xlearn.networks.network import tensors
from xlearn.networks.predictions import predict
from xlearn.networks.unshared import Through
from xlearn.plan.components import Components
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive, digest
from xlearn.runtime.memory import Kept
from xlearn.solvers.classifier import classifier

# The most training examples of the probe, drawn by the seed: it is to cost little beside the training of the encoder.
EXAMPLES = 1000
STRENGTH = 1.0
# Runs of a sweep have the same source networks.
_held: Kept[dict[str, Any]] = Kept(16)


def frozen_features(components: Components, learner: Learner, asked: Asked) -> dict[str, Any]:
    """Per source, the score on its *validation* split of the source's network (`trained`), and of logistic regression on the
    features of its pretrained encoders before any training (`frozen`, on at most 1,000 training rows), with the difference and
    its 95 % interval over the rows. `below`: the whole interval is below 0.

    Empty where no phase trained a pretrained encoder on a source, and for a source without classes or validation rows.
    """
    found = {}
    for source in learner.source_networks:
        moved = source.network.moving(source.trained()) & source.pretrained
        for role, task in source.roles["source"].items() if not components.start.loads else ():
            names = sorted(moved & task.inputs.keys())
            if names and len(task.val) and _of_classes(task):
                weights = weights_digest(tensors(source.network))
                key = digest([weights, source.network.document, task.fingerprint, names, asked.seed, asked.metric], 20)
                found[role] = _held(key, partial(_compared, components, source, task, names, asked))
    return found


def _of_classes(task: Task) -> bool:
    try:
        need_classes(task.labels, "", "")
    except Problem:
        return False
    return True


def _compared(components: Components, source: SourceNetwork, task: Task, names: list[str], asked: Asked) -> dict[str, Any]:
    space, labels = task.labels, task.val.labels
    metric = space.own_metric(asked.metric)
    bare = replace(components, trunk=partial(Through))
    specs = {name: task.inputs[name] for name in names}
    network = bare.network(specs, [space], "source", weights=True, alone=True)
    drawn = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(derive(asked.seed, "probe")))[:EXAMPLES]
    few: Examples = task.train.subset(drawn.sort().values)
    read = [features(network, each, asked.machine).double() for each in (few, task.val)]
    weight, bias = classifier(read[0], few.labels, len(space.classes), STRENGTH)
    frozen = space.reduced((read[1] @ weight.T + bias).float(), labels)
    trained = predict(source.network, task.val, asked.machine).tensors
    trained = space.reduced(trained["logits"], labels) if "logits" in trained else trained
    if space.per_example(metric, frozen, labels) is None:  # no mean over examples
        metric = space.metric
    first, second = (space.per_example(metric, each, labels) for each in (trained, frozen))
    assert first is not None and second is not None
    difference = student(first, second)
    difference = difference if space.metrics[metric] else difference.turned()
    value, low, high = difference
    return {
        "metric": metric, "trained": float(first.mean()), "frozen": float(second.mean()), "difference": value, "low": low,
        "high": high, "examples": len(labels), "below": high is not None and high < 0,
    }  # fmt: skip
