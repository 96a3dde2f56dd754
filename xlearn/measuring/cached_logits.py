"""Predictions of baselines and bounds on a test split, cached for all runs of a sweep."""

from collections.abc import Mapping

from torch import Tensor

from xlearn.data.task import Examples
from xlearn.networks.network import Network, tensors
from xlearn.networks.predictions import Predictions, predict
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.hashing import digest
from xlearn.runtime.machine import Machine
from xlearn.runtime.memory import Kept

# Number of cached predictions: all runs of a sweep measure the same baselines and source networks.
HELD = 32
_held: Kept[Mapping[str, Tensor]] = Kept(HELD)


def predictions(network: Network, examples: Examples, machine: Machine) -> Predictions:
    """As `predict`, cached by network and examples."""
    if not examples.data or examples.present:
        return predict(network, examples, machine)
    key = digest(
        [
            weights_digest(tensors(network)), network.document, examples.data, examples.task, examples.space.key,
            sorted(examples.inputs), sorted(examples.encoded), digest(examples.rows.tolist()), machine.signature(),
        ],
        20,
    )  # fmt: skip
    return Predictions(examples.space, examples.labels, _held(key, lambda: predict(network, examples, machine).tensors))
