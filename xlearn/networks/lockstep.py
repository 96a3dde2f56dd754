"""Forward passes of several tasks that wait for each other at each normalisation, so that it sees the examples of all."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network, instead

BatchNorm = nn.modules.batchnorm._BatchNorm
Forwards = Mapping[nn.Module, Callable[[Tensor], Tensor]]
Evaluate = Callable[[BatchNorm, Tensor], Tensor]
# Called with a module and its inputs, one of each task that calls it; returns its outputs.
Together = Callable[[BatchNorm, Sequence[Tensor]], Sequence[Tensor]]


class Call(NamedTuple):
    """The call of a module in a forward pass: the module, and the number of its earlier calls in the pass."""

    module: BatchNorm
    earlier: int


def forwards(modules: Sequence[BatchNorm], compute: Callable[[Call, Tensor], Tensor], evaluate: Evaluate) -> Forwards:
    """The forward functions of `modules` for one pass: `compute` for those in training mode, `evaluate` for the others."""
    counts: Counter[BatchNorm] = Counter()

    def forward_of(module: BatchNorm) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            if not module.training:
                return evaluate(module, x)
            counts[module] += 1
            return compute(Call(module, counts[module] - 1), x)

        return forward

    return {module: forward_of(module) for module in modules}


def lockstep(
    network: Network,
    batches: Mapping[str, Batch],
    modules: Sequence[BatchNorm],
    order: Mapping[str, Sequence[Call]],
    together: Together,
    evaluate: Evaluate,
) -> None:
    """A forward pass of each batch, without gradients. Every call of one of `modules` in training mode computes `together` on
    the inputs of all batches that call it. `order`: the calls that are expected of each batch.
    """
    if len(batches) == 1:
        alone = forwards(modules, lambda call, x: together(call.module, [x])[0], evaluate)
        with torch.no_grad(), instead(alone):
            for batch in batches.values():
                network.features(batch)
        return
    callers: dict[Call, set[str]] = {}
    for role, expected in order.items():
        for call in expected:
            callers.setdefault(call, set()).add(role)
    passes = {role: _Pass(network, batch, modules, evaluate) for role, batch in batches.items()}
    waiting = {role: found for role, each in passes.items() if (found := each.go_on(None)) is not None}
    while waiting:
        groups: dict[Call, list[str]] = {}
        for role, (call, _) in waiting.items():
            groups.setdefault(call, []).append(role)
        # Tasks that call modules in contrary orders would wait for each other forever: then the first group goes on.
        complete = (call for call, roles in groups.items() if callers.get(call, set()) & waiting.keys() <= {*roles})
        call = next(complete, next(iter(groups)))
        with torch.no_grad():
            outputs = together(call.module, [waiting[role][1] for role in groups[call]])
        for role, output in zip(groups[call], outputs, strict=True):
            callers.get(call, set()).discard(role)
            del waiting[role]
            if (found := passes[role].go_on(output)) is not None:
                waiting[role] = found


class _Pass:
    """A forward pass in a thread of its own. `go_on` lets it compute to its next call, while nothing else computes.

    The private modules of its task replace those of the network only while it computes.
    """

    def __init__(self, network: Network, batch: Batch, modules: Sequence[BatchNorm], evaluate: Evaluate) -> None:
        self.network, self.batch = network, batch
        self.given: SimpleQueue[Any] = SimpleQueue()
        self.found: SimpleQueue[Any] = SimpleQueue()
        self.thread = Thread(target=self._run, daemon=True)
        self.pausing = forwards(modules, self._pause, evaluate)
        self.overrides: Mapping[nn.Module, Callable[..., Any]] | None = None

    def go_on(self, output: Tensor | None) -> tuple[Call, Tensor] | None:
        """Continue with the output of the call it waits at; returns the next call and its input, or None at the end."""
        network = self.network
        with instead(self.pausing):
            if self.overrides is None:
                with torch.no_grad():
                    self.overrides = network.sharing.overrides(network, self.batch) if network.sharing.parts else {}
            with network.serving(self.batch, self.overrides):
                return self._next(output)

    def _next(self, output: Tensor | None) -> tuple[Call, Tensor] | None:
        if output is None:
            self.thread.start()
        else:
            self.given.put(output)
        found = self.found.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _pause(self, call: Call, x: Tensor) -> Tensor:
        self.found.put((call, x))
        return self.given.get()

    def _run(self) -> None:
        try:
            with torch.no_grad():
                self.network.features(self.batch)
            self.found.put(None)
        except BaseException as error:
            self.found.put(error)
