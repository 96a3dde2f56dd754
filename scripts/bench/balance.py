"""The cost of gradient balancing against one summed backward pass, and the cost of its weights.

Networks, batches and losses are the same; the variants alternate step by step within one process on one thread. Prints medians.
`features / summed`: a step with `at=features` against one backward pass of the summed losses. `parameters / bare`: a step
with `at=parameters` against one forward pass, a `torch.autograd.grad` per task and the optimizer.
"""

import argparse
import importlib
import statistics
import time
from dataclasses import replace
from functools import partial

from side_by_side import ratio

BATCH, WARM_UP, STEPS = 64, 3, 15
BOUNDS = {"features": 1.25, "parameters": 1.05, "share": 5.0}
METHODS = {
    "aligned": "Aligned", "cagrad": "CAGrad", "gradient_similarity": "GradientSimilarity", "gradnorm": "GradNorm",
    "imtl_g": "IMTLG", "mgda": "MGDA", "nash": "Nash", "pcgrad": "PCGrad", "upgrad": "UPGrad",
}  # fmt: skip


class Case:
    """The CNN of loop.py with `count` heads of ten classes on the same random images, and its losses."""

    def __init__(self, count: int) -> None:
        import torch
        from torch import nn

        from xlearn.data.task import Batch, ImageSpec
        from xlearn.encoders.cnn import Cnn
        from xlearn.fusion.concat import Concat
        from xlearn.label_spaces.classes import Classes
        from xlearn.networks.network import Network
        from xlearn.objectives import PhaseContext

        torch.manual_seed(0)
        encoder = Cnn(ImageSpec(1, 28, 28), widths=[32, 64, 64], dense=64)
        self.roles = ["target", *(f"source{n}" for n in range(1, count))]
        names = tuple(str(n) for n in range(10))
        spaces = {role: Classes(role, names) for role in self.roles}
        heads = {space.key: nn.Linear(encoder.width, 10) for space in spaces.values()}
        self.network = Network({"image": encoder}, Concat({"image": encoder.width}), heads)
        self.network.to(memory_format=torch.channels_last)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-4, fused=True)
        self.context = PhaseContext(self.network, frozenset(), {role: torch.full((10,), 6) for role in self.roles})
        images = torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8)
        self.given = [
            Batch({"image": images}, torch.randint(0, 10, (BATCH,)), space, task=role) for role, space in spaces.items()
        ]

    def losses(self):
        from torch.nn import functional

        memo: dict = {}
        batches = [replace(each, memo=memo) for each in self.given]
        return {each.task: functional.cross_entropy(self.network(each), each.labels) for each in batches}

    def step(self, balance) -> float:
        """Milliseconds of a step in which `balance(losses, backward)` sets the gradients."""
        from xlearn.balance import Backward

        begun = time.perf_counter()
        balance(self.losses(), Backward(self.network, self.parameters))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return 1000 * (time.perf_counter() - begun)

    def bare(self, losses, backward) -> None:
        """One backward pass per task, without balancing."""
        import torch

        for position, loss in enumerate(losses.values()):
            last = position + 1 == len(losses)
            grads = torch.autograd.grad(loss, self.parameters, retain_graph=not last, allow_unused=True)
            for parameter, grad in zip(self.parameters, grads, strict=True):
                if grad is not None:
                    parameter.grad = grad

    def seam(self, at):
        """The common part of every method, with constant weights."""
        import torch

        from xlearn.balance.gradients import Gradients

        gradients = Gradients(self.roles, at, self.network)
        return lambda losses, backward: gradients(losses, backward, lambda gramian, roles: torch.ones(len(roles)))

    def weighing(self, method: str) -> float:
        """Median milliseconds that a method takes from the Gramian to the weights."""
        module = importlib.import_module(f"xlearn.balance.{method}")
        balance = getattr(module, METHODS[method])(self.context, at="features")
        gradients, took = balance.gradients, []

        def timed(losses, backward, weigh):
            def clock(gramian, roles):
                begun = time.perf_counter()
                found = weigh(gramian, roles)
                took.append(1000 * (time.perf_counter() - begun))
                return found

            return gradients(losses, backward, clock)

        balance.gradients = timed
        for _ in range(WARM_UP + STEPS):
            self.step(balance)
        return statistics.median(took[WARM_UP:])


def main() -> None:
    from xlearn.balance._equal import equal
    from xlearn.runtime.machine import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    machine("cpu", "fp32", 1, multirun=False)  # one thread, and the allocator of a run
    for count in (2, 4, 8):
        case = Case(count)
        # One after the other: the seam at the features has the network keep them, which costs nothing.
        parameters, features = case.seam("parameters"), case.seam("features")
        bare = case.bare
        for name, one, base, other in (("features", features, "summed", equal), ("parameters", parameters, "bare", bare)):
            times, mine, theirs = ratio(partial(case.step, one), partial(case.step, other), given.rounds)
            print(
                f"{count} tasks: {name} / {base} = {times:.3f} (promised {BOUNDS[name]}), {mine:.1f} and {theirs:.1f} ms a "
                "step",
                flush=True,
            )
        step = statistics.median(case.step(features) for _ in range(STEPS))
        shared = sum(each.numel() * each.element_size() for each in case.network.encoder.parameters())
        print(
            f"{count} tasks: at=parameters keeps {count * shared / 1e6:.1f} MB of gradients, one of them {shared / 1e6:.1f} MB"
        )
        for method in METHODS:
            took = case.weighing(method)
            print(
                f"{count} tasks: {method} finds its weights in {took:.2f} ms, {100 * took / step:.1f} % of a step at the "
                f"features (promised {BOUNDS['share']:g})",
                flush=True,
            )


if __name__ == "__main__":
    main()
