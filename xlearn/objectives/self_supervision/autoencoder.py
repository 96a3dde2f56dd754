"""Autoencoder: reconstruct the input from its features."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.reconstruction import Reconstruction
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised


class Autoencoder(SelfSupervised):
    """`mean over pieces of loss(decoder(f(x), place), piece)`: all pieces are reconstructed from the features, without masking
    (Hinton & Salakhutdinov, Science 2006; trained end to end, while they pretrain layer by layer).

    Pieces and losses: `xlearn.objectives.self_supervision.reconstruction`: patches of images (`patch` pixels a side), tokens,
    stretches of `frames` frames, columns. Only the width of the features prevents copying: with features wider than the input
    it may learn little; then use `pretrain=denoising` or `mae`.

    `width`: of the decoder; `tokens`: how many tokens of a text are decoded in a step, at most. Raises `Problem` as
    `Reconstruction` does.
    """

    needs = replace(SelfSupervised.needs, runs_encoders=True)

    # It reconstructs the original inputs, so encoder outputs cannot be precomputed.

    def __init__(
        self, context: PhaseContext, *, patch: int | None = None, frames: int = 4, width: int = 128, tokens: int = 16
    ) -> None:
        super().__init__()
        self.pieces = Reconstruction(
            context, "autoencoder", patch=patch, frames=frames, width=width, tokens=tokens, hides=False
        )

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            cuts, features = self.pieces.cut(batch), network.features(batch)
            self.monitor.note(role, features)
            losses |= self.pieces.losses(role, features, cuts, {name: cut.there for name, cut in cuts.items()})
        return losses
