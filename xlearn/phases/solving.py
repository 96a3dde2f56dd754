"""How a phase finds its weights: by gradient descent, or in closed form."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from xlearn.data.task import Task
from xlearn.networks.network import Network, tensors
from xlearn.objectives import Objective
from xlearn.phases.encoder_cache import encode
from xlearn.phases.phase import Phase, extra_updates, rates, reading
from xlearn.phases.training import Computation, PhaseTraining, Solution, need_finite
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.machine import place
from xlearn.runtime.needs import NO_LABELS, Needs, declared


class GradientDescent:
    """The training loop."""

    needs: Needs = NO_LABELS
    # Whether the phase has steps, among which weights can be selected.
    trains = True

    def document(self) -> Any:
        """The part of the phase's cache key that the solver determines."""
        return None

    def check(self, phase: Phase, network: Network, read: Mapping[str, Task], objectives: Sequence[Objective]) -> None:
        """Raise `Problem` if no parameter is trained, or if batch normalisation gets batches of one example."""
        trained = rates(phase, network, read)
        for extra in extra_updates(objectives):
            if not any(extra.moves(name) for name in trained) and not len(extra.own):
                raise Problem(
                    f"phase {phase.name}: an update of its step changes no parameter it trains. Check its `trainable`; where "
                    "the encoder has no parameters, use a trunk (trunk=mlp)."
                )
        normalised = [name for name, each in network.named_modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
        if any(f"{name}.{part}" in trained for name in normalised for part in ("weight", "bias")):
            for role, task in read.items():
                if phase.batches.size(len(task.train)) == 1:
                    raise Problem(
                        f"phase {phase.name}: the {role} has batches of one example, but batch normalisation needs two. "
                        "Raise batch_size or shots, or use an encoder without batch normalisation, e.g. encoder/image=cnn."
                    )

    def __call__(self, computation: Computation) -> Solution:
        return PhaseTraining(computation).compute()


class ClosedForm:
    """A solver of `xlearn.solvers`, built as `component(network, tasks)`."""

    trains = False

    def __init__(self, component: partial[Any]) -> None:
        self.component = component
        self.needs = declared(component)

    def document(self) -> Any:
        return described(self.component)

    def check(self, phase: Phase, network: Network, read: Mapping[str, Task], objectives: Sequence[Objective]) -> None:
        self.component(network, read)  # raises if it cannot be solved

    def __call__(self, computation: Computation) -> Solution:
        network, phase, setting = computation.network, computation.phase, computation.setting
        read = reading(phase, computation.roles)
        began = time.monotonic()
        place(network, setting.machine)
        if not self.needs.runs_encoders:
            still = sorted(setting.pretrained & network.encoder.keys())
            read = {
                role: replace(
                    task,
                    train=encode(network, task.train, still, setting.machine),
                    val=encode(network, task.val, still, setting.machine),
                )
                for role, task in read.items()
            }
        found = self.component(network, read)(setting.machine)
        line = {"phase": phase.name, "step": 0, "losses": {}, **found}
        weights = tensors(network)
        need_finite(weights, phase.name, 0)
        setting.report(line)
        report = {
            "steps": 0, "kept_step": 0, "seconds": time.monotonic() - began, "peak_memory": setting.machine.peak_memory(),
            "records": [line], "note": found.get("note"),
        }  # fmt: skip
        return Solution(weights, report, {})
