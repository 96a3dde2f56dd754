"""Adaptive batch normalisation."""

from collections.abc import Mapping
from typing import Any

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.networks.statistics import estimated, normalisations
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine


class AdaBN:
    """The means and variances of every batch normalisation become those of the unlabelled target; weights stay (AdaBN, Li et
    al., ICLR workshop 2017).

    In one pass, in batches of about 256 of equal weight: a layer's statistics are of what the layers below give when each
    normalises by the statistics of its batch. Raises `Problem` for a network without batch normalisation, and for fewer than 2
    examples.
    """

    # What encoders made of the examples with other statistics is no use.
    moves_encoders = True

    def __init__(self, network: Network, tasks: Mapping[str, Task]) -> None:
        self.network, self.examples = network, tasks[UNLABELED].train
        if not normalisations(network):
            raise Problem(
                "adabn replaces the statistics of batch normalisations, and the network has none. Choose an encoder or a trunk "
                "with them: encoder.image.normalisation=batch, trunk=mlp trunk.normalisation=batch, or encoder/image=resnet18."
            )
        if len(self.examples) < 2:
            raise Problem(f"adabn: {len(self.examples)} unlabelled example(s) of the target; a variance needs 2.")

    def __call__(self, machine: Machine) -> dict[str, Any]:
        return {"normalisations": estimated(self.network, self.examples, machine)}
