"""DELTA: penalise changes of the source network's feature maps, weighted by the importance of each channel."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Batch, Examples
from xlearn.networks.network import Network, instead
from xlearn.networks.outputs import block_paths, channel_axis, first, with_first
from xlearn.networks.present import with_modality
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.probe import probe
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

# The number of labelled examples for the importance of channels.
EXAMPLES = 64


class Delta(Objective):
    """`alpha sum_l mean_i sum_j W_lj ||FM_lj(w, x_i) - FM_lj(w0, x_i)||^2 + beta / 2 ||w'||^2` (Li et al., ICLR 2019, eq. 2 to
    5), added to the cross-entropy: FM_lj is channel j of the output of module l, w0 the weights at the start of the phase, w'
    the parameters that were not copied from the source.

    With `attention`, `W_l = softmax_j(L(FM_lj set to 0) - L)`: the increase of the loss without the channel, at the start of
    the phase, mean over 64 of the target's labelled examples (the paper: per example). So the head must be trained on the
    target before, by a linear probe. Without attention, W_lj = 1 / channels. Padding positions are included.
    `student`: paths of modules l (null: the last module with parameters of every encoder's last block).

    Raises: `Problem` for a path that does not exist, for a module that is never called, and for alpha or beta below 0.
    """

    needs = Needs(labels=False, trains_head=False, below_heads=True, runs_encoders=True, copied=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        alpha: float = 0.01,
        beta: float = 0.01,
        student: list[str] | None = None,
        attention: bool = True,
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            if value < 0:
                raise Problem(f"delta: {name}={value}: give 0 or more, e.g. 0.01.")
        last = [blocks[-1][-1] for blocks in block_paths(context.network).values() if blocks and blocks[-1]]
        self.paths = last if student is None else [*student]
        if not self.paths:
            raise Problem(
                "delta: no encoder has a block with parameters. Use another encoder, or name modules by student=[...]."
            )
        for path in self.paths:
            context.network.listen(path)
        self.alpha, self.beta, self.attention = alpha, beta, attention
        self.examples: Examples | None = context.tasks["target"].train if "target" in context.tasks else None
        self.copied = context.copied
        # The weights at the start of the phase; a resumed phase starts from the same.
        self.before = copy.deepcopy(context.network).requires_grad_(False).eval()
        self.shares: dict[str, Tensor] = {}
        called = probe(self.before, self.paths, context.tasks)
        silent = [path for path in self.paths if path not in called] if context.tasks else []
        self.paths = [path for path in self.paths if path not in silent]
        if silent and (student is not None or not self.paths):
            raise Problem(
                f"delta: {silent[0]} is never called, because torch reads its parameters in another module. Name another "
                "module, or use an encoder whose blocks are called (encoder/text=text_cnn or transformer)."
            )

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            self._settle(batch)
            own = network.outputs(batch)
            with torch.no_grad():
                kept = self.before.outputs(replace(batch, memo=None))
            # No example of the batch may have the modality of a module, which then is not called.
            terms = [self._distance(path, first(own[path]), first(kept[path])) for path in self.paths if path in own]
            losses[f"{role}_delta"] = self.alpha * torch.stack(terms).sum() if terms else batch.labels.new_zeros(()).float()
        fresh = [
            each.square().sum() for name, each in network.named_parameters() if each.requires_grad and name not in self.copied
        ]
        return {**losses, "fresh": self.beta / 2 * torch.stack(fresh).sum()} if fresh else losses

    def _distance(self, path: str, own: Tensor, kept: Tensor) -> Tensor:
        axis = channel_axis(self.before.get_submodule(path), own)
        by_channel = (own - kept).square().movedim(axis, -1).flatten(1, -2) if own.ndim > 2 else (own - kept).square()[:, None]
        return (by_channel.sum(1) * self.shares[path].to(own)).sum(1).mean()

    def _settle(self, batch: Batch) -> None:
        """Compute the importance of each channel once, before the first step that calls its module."""
        waiting = [path for path in self.paths if path not in self.shares]
        if not waiting:
            return
        # The memory layout of the trained network.
        self.before.to(batch.labels.device).to(memory_format=torch.channels_last)
        for path in waiting:
            taken = batch if self.examples is None else self._evenly(self.examples, path)
            taken = taken.to(batch.labels.device)
            if path in (given := self.before.outputs(replace(taken, memo=None))):
                even = not self.attention
                self.shares[path] = _even(self.before, path, given[path]) if even else attention(self.before, path, taken)

    @staticmethod
    def _evenly(examples: Examples, path: str) -> Batch:
        """Evenly spaced examples, because data may be sorted by class, that the module's encoder reads."""
        there = with_modality(examples, path)
        rows = torch.arange(len(examples)) if there is None or not bool(there.any()) else there.nonzero().flatten()
        return examples.take(rows[torch.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).round().long()])


def _even(network: Network, path: str, given: Any) -> Tensor:
    count = first(given).shape[channel_axis(network.get_submodule(path), first(given))]
    return torch.full((count,), 1 / count)


@torch.no_grad()
def attention(network: Network, path: str, batch: Batch) -> Tensor:
    """`softmax_j(L(channel j of the module set to 0) - L) float [channels]`, with L the supervised loss of the batch.

    The outputs of blocks before the module are reused: only the layers above are computed for every channel.
    """
    order = [each for blocks in block_paths(network).values() for block in blocks for each in block]
    own = next((each for each in order if path == each or path.startswith(f"{each}.")), None)
    before = [] if own is None else [each for each in order[: order.index(own)] if each.split(".")[1] == own.split(".")[1]]
    listened, network.listening = network.listening, [*before, path]
    recorded = network.outputs(replace(batch, memo=None))
    network.listening = listened
    stubs = {network.get_submodule(each): partial(_given, recorded[each]) for each in before if each in recorded}
    module, value = network.get_submodule(path), first(recorded[path])
    axis = channel_axis(module, value)
    plain = batch.space.loss(network(replace(batch, memo=None)), batch.labels)
    losses = []
    for channel in range(value.shape[axis]):
        silent = value.index_fill(axis, torch.tensor([channel], device=value.device), 0)
        with instead({**stubs, module: partial(_given, with_first(recorded[path], silent))}):
            losses.append(batch.space.loss(network(replace(batch, memo=None)), batch.labels) - plain)
    return torch.stack(losses).softmax(0)


def _given(value: Any, *arguments: Any, **named: Any) -> Any:
    """Returns a recorded output instead of calling the module."""
    return value
