"""Masked autoencoder: reconstruct masked pieces of the input from the visible ones."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from xlearn.data.modalities.pieces import Cut, drawn
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.reconstruction import Reconstruction
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class Mae(SelfSupervised):
    """`mean over masked pieces of loss(decoder(f(x without them), place), piece)`: `round(share n)` of an example's n pieces,
    at least one and not all, are drawn uniformly and masked (He et al., CVPR 2022, masked autoencoders; for texts Devlin et
    al., NAACL 2019, masked language modelling; for several modalities Bachmann et al., ECCV 2022).

    Pieces and losses: `xlearn.objectives.self_supervision.reconstruction`: patches of images (`patch` pixels a side), tokens,
    stretches of `frames` frames, columns. As in SimMIM (Xie et al., CVPR 2022) masked pieces are replaced (by the batch's mean
    colour, the unknown token, 0, a missing value), not removed as by He et al., so it works with any encoder. Unlike all of
    these, the decoder reads the single feature vector below the heads, not a token per position. Unlike BERT's 80/10/10 rule,
    every masked token is replaced, and no visible one is predicted. A single piece is not masked.
    `width`: of the decoder. `tokens`: the largest number of a text's masked tokens that are decoded in a step. The default
    share lies between those of the papers (.15, .75) and is not tuned: with one seed of linear probes (validation), .75 was
    worse on optdigits and fsdd, and lower shares as good or better on optdigits and bbc_news. 4 frames were better than 8 on
    fsdd.

    Raises: `Problem` for a share outside (0, 1), and as `Reconstruction`.
    """

    needs = replace(SelfSupervised.needs, runs_encoders=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        share: float = 0.5,
        patch: int | None = None,
        frames: int = 4,
        width: int = 128,
        tokens: int = 16,
    ) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise Problem(f"mae: share={share}: give a share between 0 and 1, e.g. 0.5.")
        self.share = share
        self.pieces = Reconstruction(context, "mae", patch=patch, frames=frames, width=width, tokens=tokens, hides=True)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            cuts = self.pieces.cut(batch)
            hidden = {name: self._hidden(cut) for name, cut in cuts.items()}
            seen = replace(batch, inputs={**batch.inputs, **self.pieces.hide(batch, hidden)}, memo={})
            features = network.features(seen)
            self.monitor.note(role, features)
            losses |= self.pieces.losses(role, features, cuts, hidden)
        return losses

    def _hidden(self, cut: Cut) -> Tensor:
        count = cut.there.sum(1)
        wanted = (self.share * count).round().long().clamp_min(1)
        return drawn(cut.there, wanted.minimum(count - 1).clamp_min(0))
