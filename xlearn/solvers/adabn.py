"""Adaptive batch normalisation (AdaBN)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.networks.statistics import estimated, normalisations
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine
from xlearn.solvers import Solver


class AdaBN(Solver):
    """Replace the means and variances of all batch normalisation layers by those of the unlabelled target; the weights do not
    change (AdaBN, Li et al., ICLR workshop 2017).

    Computed in one pass of all examples, whatever their order (see `xlearn.networks.statistics.estimated`).
    Raises `Problem` for a network without batch normalisation, and for fewer than 2 examples.
    """

    # Encoder outputs computed with the old statistics cannot be reused.
    needs = replace(Solver.needs, runs_encoders=True)

    def __init__(self, network: Network, tasks: Mapping[str, Task]) -> None:
        self.network, self.examples = network, tasks[UNLABELED].train
        if not normalisations(network):
            raise Problem(
                "adabn replaces the statistics of batch normalisation, but the network has none. Choose an encoder or a trunk "
                "with it: encoder.image.normalisation=batch, trunk=mlp trunk.normalisation=batch, or encoder/image=resnet18."
            )
        if len(self.examples) < 2:
            raise Problem(f"adabn: {len(self.examples)} unlabelled example(s) of the target; a variance needs 2.")

    def __call__(self, machine: Machine) -> dict[str, Any]:
        estimated(self.network, {UNLABELED: self.examples}, machine)
        return {"normalisations": len(normalisations(self.network))}
