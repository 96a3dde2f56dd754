"""Reconstruction of inputs of any modality, piece by piece, from the features below the heads."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Inputs
from xlearn.data.formats import MODALITIES
from xlearn.data.modalities import modality
from xlearn.data.modalities.pieces import Cut, PieceOptions, Pieces, drawn
from xlearn.data.task import Batch, Spec, Task
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.layers import linear
from xlearn.runtime.errors import Problem


class Decoder(nn.Module):
    """Decodes the piece at position p from features z: `C g(B g(A z' + e_p))`, g = GELU, e_p learned, `width` hidden units.

    `z' = (z - mean) / deviation` of each feature over the batch. A decoder of z itself soon predicts the mean example, and the
    features collapse towards one point (`mae`, optdigits, one seed: spread .05, with z' .11).
    """

    def __init__(self, before: int, width: int, pieces: Pieces, network: Network, use: str) -> None:
        super().__init__()
        self.enter = linear(before, width, network, f"{use} enter")
        self.place = nn.Parameter(linear(width, pieces.places, network, f"{use} place").weight.detach())
        self.middle = linear(width, width, network, f"{use} middle")
        self.leave = linear(width, pieces.size, network, f"{use} leave")

    def forward(self, features: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """The content of m pieces, `float [m, size]`, by their example (`rows int64 [m]`) and position (`places int64 [m]`)."""
        features = functional.batch_norm(features, None, None, training=True)
        # `embedding`, because the gradient of indexing is summed in a random order of threads.
        found = functional.gelu(functional.embedding(rows, self.enter(features)) + functional.embedding(places, self.place))
        return self.leave(functional.gelu(self.middle(found)))


class Reconstruction(nn.Module):
    """Pieces and a decoder for every modality that both the phase's tasks and the network have.

    The loss of a piece is the mean squared error over its known numbers, on a fixed scale (pixels as -1 to 1, standardised
    frames and columns; without He et al.'s normalisation per patch, `norm_pix_loss`), or the cross-entropy over the vocabulary.
    The result is the mean over all chosen pieces of the batch. At most `tokens` chosen tokens of a text, a new sample in each
    step, are decoded: a loss with the same mean, without logits `[batch, length, vocabulary]`.
    `patch=None` is a seventh of the shorter side (28 or 32 pixels: 4; 224: 32, as SimMIM), at least 2.

    Raises: `Problem` for sizes below 1, modalities without pieces, a patch larger than the images, waves, precomputed inputs,
    and, with `hides` (pieces are masked), for tokenisers without an unknown token.
    """

    def __init__(
        self, context: PhaseContext, name: str, *, patch: int | None, frames: int, width: int, tokens: int, hides: bool
    ) -> None:
        super().__init__()
        for option, value in {"patch": patch, "frames": frames, "width": width, "tokens": tokens}.items():
            if value is not None and value < 1:
                raise Problem(f"{name}: {option}={value}: give 1 or more.")
        self.name, self.tokens = name, tokens
        specs = {each: spec for task in context.tasks.values() for each, spec in task.inputs.items()}
        self.pieces: dict[str, Pieces] = {
            each: _pieces(each, specs[each], context.tasks, PieceOptions(name, patch, frames, hides))
            for each in sorted(specs.keys() & context.network.encoder.keys())
        }
        before = context.network.width
        self.decoder = nn.ModuleDict(
            {each: Decoder(before, width, found, context.network, f"{name} {each}") for each, found in self.pieces.items()}
        )

    def cut(self, batch: Batch) -> dict[str, Cut]:
        """The pieces of each modality of the batch; none are known for examples without the modality."""
        found = {}
        for each in sorted(batch.inputs.keys() & self.pieces.keys()):
            if each in batch.encoded:
                raise Problem(_encoded(self.name, each))
            cut = self.pieces[each].cut(batch.inputs[each])
            if (present := batch.present.get(each)) is not None:
                cut = cut._replace(known=cut.known & present.reshape(-1, *[1] * (cut.known.ndim - 1)))
            found[each] = cut
        return found

    def hide(self, batch: Batch, hidden: Mapping[str, Tensor]) -> dict[str, Inputs]:
        """The inputs of the batch with masked pieces, by modality."""
        return {each: self.pieces[each].hide(batch.inputs[each], where) for each, where in hidden.items()}

    def losses(self, role: str, features: Tensor, cuts: Mapping[str, Cut], chosen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The reconstruction losses of the `chosen` pieces (bool `[batch, pieces]`) from `features [batch, width]`, named
        `<name>_<role>`, followed by `_<modality>` for several modalities. 0 if no piece is chosen.
        """
        with torch.autocast(features.device.type, enabled=False):
            return {
                f"{self.name}_{role}{f'_{each}' if len(cuts) > 1 else ''}": self._loss(
                    each, features.float(), cut, chosen[each]
                )
                for each, cut in cuts.items()
            }

    def _loss(self, modality: str, features: Tensor, cut: Cut, chosen: Tensor) -> Tensor:
        if texts := not cut.content.is_floating_point():
            chosen = drawn(chosen, chosen.sum(1).clamp_max(self.tokens))
        rows, places = chosen.nonzero(as_tuple=True)
        told, content = self.decoder[modality](features, rows, places), cut.content[rows, places]
        if texts:
            each = functional.cross_entropy(told, content, reduction="none")
        else:
            known = cut.known[rows, places]
            each = ((told - content).square() * known).sum(1) / known.sum(1)
        return each.sum() / max(len(each), 1)


def _pieces(name: str, spec: Spec, tasks: Mapping[str, Task], options: PieceOptions) -> Pieces:
    if (pieces := modality(spec).pieces) is not None:
        return pieces([task.train.inputs[name] for task in tasks.values() if name in task.inputs], options)
    if name in MODALITIES:  # precomputed features of images, texts, ...
        raise Problem(_encoded(options.method, name))
    raise Problem(
        f"{options.method} reconstructs inputs piece by piece, and {name} is not made of pieces ({type(spec).__name__} has no "
        f"`pieces`). Choose a pretraining that needs none, e.g. pretrain=supervised, or leave {name} out "
        "(pretrain.phases.pretrain.modalities=[...])."
    )


def _encoded(method: str, name: str) -> str:
    return (
        f"{method} reconstructs inputs, but the {name} input has only precomputed features. Choose an encoder that reads the "
        f"{name} itself (`xlearn show encoder/{name}`), or leave {name} out (pretrain.phases.pretrain.modalities=[...])."
    )
