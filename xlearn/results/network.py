"""The network that a run leaves: what is written of it, and the same network again from what was written."""

from pathlib import Path
from typing import Any

from xlearn.learners import comparisons
from xlearn.learners.learner import Learner
from xlearn.networks.network import Network, load, tensors
from xlearn.plan.build import build
from xlearn.plan.tasks import prepared
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import read_tensors
from xlearn.sharing import together

WEIGHTS = "weights.safetensors"


def final(learner: Learner) -> Network:
    """The learner's network; of tasks learned together the target's, by itself where it can be."""
    network, target = learner.network, learner.roles["target"]["target"]
    return network if network.sharing is None else together.alone(network, "target", target.labels.key)


def rebuilt(result: dict[str, Any], folder: Path) -> Network:
    """The network of a finished run, with its weights, on the CPU and in evaluation mode.

    It is built from the configuration, which reads the run's data again: they say how many classes and columns there are.
    Raises `Problem` where the weights are missing, or are of another network.
    """
    components = build({**result["config"], "choices": result["choices"]})
    roles, forms = prepared(components)
    network = final(comparisons.own(components, roles, forms))
    file = folder / WEIGHTS
    if not file.is_file():
        raise Problem(f"{file} is missing. Repeat the run with force=true.")
    weights = read_tensors(file)
    own, read = ({name: value.shape for name, value in each.items()} for each in (tensors(network), weights))
    if differing := sorted(name for name in {*own, *read} if own.get(name) != read.get(name)):
        raise Problem(
            f"{file} holds the weights of another network than its configuration gives now (they differ in {differing[0]}): "
            "the data or the code changed since. Repeat the run with force=true."
        )
    load(network, weights)
    return network.eval()
