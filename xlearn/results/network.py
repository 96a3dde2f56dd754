"""The final network of a run: the weights that are saved, and the network rebuilt from them."""

from pathlib import Path
from typing import Any

from xlearn.learners.learner import Learner
from xlearn.learners.own import own
from xlearn.networks.network import Network, load, tensors
from xlearn.plan.build import build
from xlearn.plan.tasks import prepared
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import read_tensors
from xlearn.sharing import together

WEIGHTS = "weights.safetensors"


def final(learner: Learner) -> Network:
    """The learner's network; for tasks learned together, the target's network without the sharing, where possible."""
    network, target = learner.network, learner.roles["target"]["target"]
    return network if not network.sharing.parts else together.alone(network, "target", target.labels.key)


def rebuilt(result: dict[str, Any], folder: Path) -> Network:
    """The network of a finished run, with its weights, on the CPU and in evaluation mode.

    It is built from the configuration. This loads the run's data again, for the numbers of classes and columns.

    Raises: `Problem` if the weights are missing or do not fit the network.
    """
    components = build({**result["config"], "choices": result["choices"]})
    tasks = prepared(components)
    network = final(own(components, tasks.roles, tasks.forms))
    file = folder / WEIGHTS
    if not file.is_file():
        raise Problem(f"{file} is missing. Repeat the run with force=true.")
    weights = read_tensors(file)
    built, read = ({name: value.shape for name, value in each.items()} for each in (tensors(network), weights))
    if differing := sorted(name for name in {*built, *read} if built.get(name) != read.get(name)):
        raise Problem(
            f"{file} does not fit the network that its configuration builds now (they differ in {differing[0]}), because "
            "the data or the code changed. Repeat the run with force=true."
        )
    load(network, weights)
    return network.eval()
