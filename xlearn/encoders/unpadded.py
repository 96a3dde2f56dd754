"""Pretrained networks whose outputs padding would change: found when they are built, and run on one length at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Sequences
from xlearn.runtime.errors import Problem
from xlearn.runtime.randomness import random_state, set_random_state

# The largest change of a token that is rounding, in standard deviations of the tokens.
ROUNDING = 2e-5
# The deviation of the noise in vectors and in constants during the trial.
NOISE = 0.1


class Reading(NamedTuple):
    """The width of a token, and whether inputs are read one length at a time, without padding."""

    width: int
    by_length: bool


@torch.no_grad()
def tried(
    module: nn.Module,
    padded: Callable[[Sequences], Sequences],
    unpadded: Callable[[Tensor], Tensor],
    long: Tensor,
    shorts: Sequence[Tensor],
) -> Reading:
    """How `module` can read inputs of different lengths, by a trial in evaluation mode that changes no random state.

    `padded(sequences)` gives tokens and mask, `unpadded(inputs [rows, length])` tokens `[rows, frames, width]` of inputs of one
    length; `long [1, length]` and the `shorts [1, fewer]` are inputs. Each short one is read alone and beside another of its
    length, and the last of them beside the long one. If its tokens differ there by more than rounding, or if the module cannot
    read padded inputs, inputs are read by length. In the trial all vectors, and all parameters that are zero, have noise:
    a bias or a scale of 0 would hide what padding changes once it is trained.

    Raises: the error of the module if it cannot read an input; `ValueError` for one that gives other tokens when it reads
    again, or beside an input of the same length.
    """
    with _trial(module):
        alone = [_steady(lambda short=short: _whole(unpadded(short))).values for short in shorts]
        for short, values in zip(shorts, alone, strict=True):
            if not torch.isfinite(values).all():
                raise ValueError("it gives numbers that are not finite")
            pair = unpadded(torch.cat([short, long[:, : short.shape[1]]]))
            if _differ(pair[:1], values):
                raise ValueError("it gives other outputs where another input of the same length stands beside")
        short, lacking = shorts[-1], long.shape[1] - shorts[-1].shape[1]
        rows = torch.cat([long, functional.pad(short, (0, lacking))])
        mask = torch.ones_like(rows, dtype=torch.bool)
        mask[1, short.shape[1] :] = False
        width = alone[0].shape[2]
        try:
            values, there = _steady(lambda: padded(Sequences(rows, mask)))
        except Exception:  # the modules raise many kinds
            _steady(lambda: _whole(unpadded(long)))
            return Reading(width, True)
        return Reading(width, _differ(values[1:, there[1]], alone[-1]))


def _steady(run: Callable[[], Sequences]) -> Sequences:
    """What `run` gives. Raises `ValueError` if it draws random numbers that change it."""
    before = torch.get_rng_state()
    found = run()
    # Many networks draw without effect, such as the layers to drop in training.
    drew = not torch.equal(before, torch.get_rng_state())
    if drew and _differ(run().values[found.mask], found.values[found.mask]):
        raise ValueError("it draws random numbers, so that it gives other outputs when it reads the same input again")
    return found


def _whole(values: Tensor) -> Sequences:
    return Sequences(values, torch.ones_like(values[..., 0], dtype=torch.bool))


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether they differ by more than rounding."""
    limit = ROUNDING * float(other.std(correction=0).clamp_min(1e-9))
    return one.shape != other.shape or not float((one - other).abs().max()) <= limit


def by_length(
    module: nn.Module, unpadded: Callable[[Tensor], Tensor], inputs: Tensor, lengths: Tensor, width: int
) -> Sequences:
    """`unpadded` on the inputs of each length: tokens `[batch, frames, width]`, zeros where the mask `[batch, frames]` is not.

    `inputs [batch, length]`, `lengths int64 [batch]`; an input of length 0 is not read. Raises `Problem` if outputs within the
    module are recorded, of which each part has its own.
    """
    sizes = [length for length in lengths.unique().tolist() if length]
    if len(sizes) > 1 and any(each._forward_hooks for each in module.modules()):
        raise Problem(
            f"{type(module).__name__} reads the inputs of a batch one length after the other, because padding would change its "
            "outputs, so that outputs of its modules cannot be compared example by example. Compare the features below the "
            "heads (a path of null), or use another encoder."
        )
    parts = [(rows := (lengths == size).nonzero().flatten(), unpadded(inputs[rows, :size])) for size in sizes]
    frames = max((part.shape[1] for _, part in parts), default=1)
    mask = torch.zeros(len(inputs), frames, dtype=torch.bool, device=inputs.device)
    some = parts[0][1] if parts else torch.zeros(0, device=inputs.device)
    values = some.new_zeros(len(inputs), frames, width)
    for rows, part in parts:
        values[rows, : part.shape[1]] = part
        mask[rows, : part.shape[1]] = True
    return Sequences(values, mask)


@contextmanager
def _trial(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, noise in the parameters, and afterwards everything as before."""
    state, drawn = random_state(), numpy.random.get_state()  # some networks draw from numpy
    modes = [(each, each.training) for each in module.modules()]
    generator = torch.Generator().manual_seed(0)
    before = []
    try:
        module.eval()
        for each in module.parameters():
            if each.is_floating_point() and (each.ndim < 2 or not each.any()):
                before.append((each, each.clone()))
                each.add_(NOISE * torch.randn(each.shape, generator=generator).to(each))
        yield
    finally:
        for each, value in before:
            each.copy_(value)
        for each, training in modes:
            each.training = training
        set_random_state(state)
        numpy.random.set_state(drawn)


def vectors(output: Any, inputs: Tensor) -> Tensor:
    """`last_hidden_state` of a network's output. Raises `ValueError` where it is no sequence of vectors of these inputs."""
    values = getattr(output, "last_hidden_state", None)
    if not isinstance(values, Tensor) or values.ndim != 3 or len(values) != len(inputs):
        raise ValueError("it gives no sequence of vectors")
    return values
