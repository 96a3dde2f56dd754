"""Logits of baselines and bounds on a test split, cached for all runs of a sweep."""

from torch import Tensor

from xlearn.data.task import Examples
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network, tensors
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.hashing import digest
from xlearn.runtime.machine import Machine
from xlearn.runtime.memory import Kept

# Number of cached logits: all runs of a sweep measure the same baselines and source networks.
HELD = 32
_held: Kept[Tensor] = Kept(HELD)


def predictions(network: Network, examples: Examples, machine: Machine) -> Tensor:
    """The logits of the examples, `float [n, classes]`, cached by network and examples."""
    if not examples.data or examples.present:
        return logits(network, examples, machine)
    key = digest(
        [
            weights_digest(tensors(network)), network.document, examples.data, examples.task, examples.space.key,
            sorted(examples.inputs), sorted(examples.encoded), digest(examples.rows.tolist()), machine.signature(),
        ],
        20,
    )  # fmt: skip
    return _held(key, lambda: logits(network, examples, machine).clone())
