"""Attention transfer: match the spatial attention maps of student and teacher."""

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.networks.outputs import block_paths
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.distillation.match import Match, pooled
from xlearn.objectives.distillation.teaching import mean, need_teacher
from xlearn.objectives.parts.probe import described, probe
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Attention(Objective):
    """`weight * sum_l mean (Q_s / ||Q_s|| - Q_t / ||Q_t||)^2` on every role that the teacher can read, with `Q = vec(mean_c
    F_c^2)` over the positions of a module's output F: pixels, frames or tokens (Zagoruyko & Komodakis, ICLR 2017, eq. 2).

    The mean is over positions, then over the examples with a modality of the teacher, as in the authors' code with its weight
    of 1000 (the paper: `beta / 2` times the norm without the square). If sizes differ, the larger Q is pooled to the smaller
    size (adaptive average). Padding positions are included, because modules have no mask.
    `student`, `teacher`: paths of modules, paired in order. null: the blocks of the common encoders with spatial outputs, maps
    with maps and sequences with sequences, paired from the top down.

    Raises: `Problem` for a weight below 0, without exactly one teacher, for paths that do not exist, are not called or do not
    match, and for vectors, which have no positions.
    """

    needs = Needs(labels=False, trains_head=False, below_heads=True, runs_encoders=True, teacher=frozenset({"network"}))

    def __init__(
        self,
        context: PhaseContext,
        *,
        student: list[str] | None = None,
        teacher: list[str] | None = None,
        weight: float = 1000.0,
    ) -> None:
        if weight < 0:
            raise Problem(f"attention: weight={weight}: give 0 or more, e.g. 1000.")
        if len(student or ()) != len(teacher or ()) or student == []:
            raise Problem(f"attention: student={student}, teacher={teacher}: name as many modules in both, or leave both null.")
        given = need_teacher(context, "attention")
        pairs = [*zip(student, teacher, strict=True)] if student and teacher else _paired(context, given)
        self.match = Match(context, "attention", pairs)
        for (own, other), (path, taught_path) in zip(self.match.shapes, pairs, strict=True):
            for network, who, where, shape in ((context.network, "student", path, own), (given, "teacher", taught_path, other)):
                if math.prod(shape[1:]) < 2:
                    there = itertools.chain(*_with_places(network, context).values())
                    raise Problem(
                        f"attention: {who}={where} outputs {described(shape)}, which has no positions for an attention map. "
                        f"{'Choose among ' + ', '.join(there) if there else 'Use another encoder'}."
                    )
            if len(own) != len(other):
                raise Problem(
                    f"attention: {path} outputs {described(own)}, {taught_path} {described(other)}. Pair modules of one kind."
                )
        self.weight = weight

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            terms = [mean(apart(own, given), seen) for own, given, seen in self.match(network, batch)]
            if terms:
                losses[f"{role}_attention"] = self.weight * torch.stack(terms).sum()
        return losses


def apart(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over positions of `(Q_s / ||Q_s|| - Q_t / ||Q_t||)^2`, `[batch]`, of outputs `[batch, channels, *positions]`."""
    # In single precision: squares of half precision overflow.
    one, other = pooled(*(each.float().square().mean(1, keepdim=True) for each in (student, teacher)))
    return (functional.normalize(one.flatten(1)) - functional.normalize(other.flatten(1))).square().mean(1)


def _with_places(network: Network, context: PhaseContext) -> dict[tuple[str, int], list[str]]:
    """The encoder blocks that output maps or sequences, from input to output, by modality and number of axes."""
    last = {name: [_end(network, block) for block in blocks if block] for name, blocks in block_paths(network).items()}
    given = probe(network, [path for paths in last.values() for path in paths], context.tasks)
    found: dict[tuple[str, int], list[str]] = {}
    for name, paths in last.items():
        for path in paths:
            if path in given and given[path].ndim in (3, 4) and given[path].shape[2:].numel() > 1:
                found.setdefault((name, given[path].ndim), []).append(path)
    return found


def _end(network: Network, block: Sequence[str]) -> str:
    """The path of the module with the block's output: the enclosing `nn.Sequential`, if nothing else in it has parameters,
    because it ends with the block's activation and pooling.
    """
    own = {id(each) for path in block for each in network.get_submodule(path).parameters()}
    path = block[-1]
    while isinstance(stack := network.get_submodule(path.rpartition(".")[0]), nn.Sequential):
        if not {id(each) for each in stack.parameters()} <= own:
            break
        path = path.rpartition(".")[0]
    return path


def _paired(context: PhaseContext, teacher: Network) -> Sequence[tuple[str, str]]:
    own, given = _with_places(context.network, context), _with_places(teacher, context)
    pairs = [pair for kind in own for pair in zip(own[kind][::-1], given.get(kind, [])[::-1], strict=False)]
    if not pairs:
        raise Problem(
            "attention: student and teacher have no common modality where both encoders output maps or sequences; "
            "a vector has no attention map. Use for example encoder/image=cnn, encoder/text=transformer, "
            "encoder/audio=audio_cnn, or transfer=rkd, which distils vectors."
        )
    return pairs
