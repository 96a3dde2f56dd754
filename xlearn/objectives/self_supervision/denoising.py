"""Denoising autoencoder: reconstruct the clean input from a noisy one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from torch import Tensor

from xlearn.data.columns import Inputs, Sequences
from xlearn.data.modalities.pieces import Cut, Noise, drawn
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.reconstruction import Reconstruction
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class Denoising(SelfSupervised):
    """`mean over pieces of loss(decoder(f(noisy x), place), piece of x)`: all pieces are reconstructed from an input with noise
    (Vincent et al., ICML 2008; Gaussian noise: Vincent et al., JMLR 2010).

    `noise=masking`: `round(share d)` of an example's d numbers are set to 0, as in the paper: pixels (per channel) to black,
    numbers of frames and columns to the mean; the same share of a text's tokens becomes unknown. `noise=gaussian`: columns get
    N(0, deviation^2), pixels N(0, (255 deviation)^2), clamped to 0 to 255, and frames noise of `low` to `high` decibel
    (`xlearn.data.augment.noise`); texts are masked as above. Missing columns stay missing. Unlike in `mae`, unchanged pieces
    are reconstructed too, and the encoder has no mask of the noisy numbers.
    Pieces and losses: `xlearn.objectives.self_supervision.reconstruction`. `width`: of the decoder. `tokens`: the largest
    number of a text's tokens that are decoded in a step.

    Raises: `Problem` for a share outside (0, 1), a deviation not above 0, decibels in descending order, and as
    `Reconstruction`.
    """

    needs = replace(SelfSupervised.needs, runs_encoders=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        noise: Literal["masking", "gaussian"] = "masking",
        share: float = 0.25,
        deviation: float = 0.25,
        low: float = 0.0,
        high: float = 20.0,
        patch: int | None = None,
        frames: int = 4,
        width: int = 128,
        tokens: int = 16,
    ) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise Problem(f"denoising: share={share}: give a share between 0 and 1, e.g. 0.25.")
        if not deviation > 0:
            raise Problem(f"denoising: deviation={deviation}: give more than 0, e.g. 0.25.")
        if not low <= high:
            raise Problem(f"denoising: low={low} is above high={high}. Give decibels in ascending order, as low=0 high=20.")
        self.noise, self.gaussian = noise, Noise(share, deviation, low, high)
        self.pieces = Reconstruction(context, "denoising", patch=patch, frames=frames, width=width, tokens=tokens, hides=True)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            cuts = self.pieces.cut(batch)
            features = network.features(self.noisy(batch, cuts))
            self.monitor.note(role, features)
            losses |= self.pieces.losses(role, features, cuts, {name: cut.there for name, cut in cuts.items()})
        return losses

    def noisy(self, batch: Batch, cuts: Mapping[str, Cut]) -> Batch:
        """The batch with noise, drawn from torch's global generator; `cuts` are its pieces."""
        inputs = dict(batch.inputs)
        for name, cut in cuts.items():
            if self.noise == "gaussian":
                inputs[name] = self.pieces.pieces[name].disturb(batch.inputs[name], cut.there, self.gaussian)
            elif not cut.content.is_floating_point():
                inputs |= self.pieces.hide(batch, {name: self._chosen(cut.there)})
            else:
                inputs[name] = self._masked(batch.inputs[name])
        return replace(batch, inputs=inputs, memo={})

    def _chosen(self, there: Tensor) -> Tensor:
        return drawn(there, (self.gaussian.share * there.sum(1)).round().long())

    def _masked(self, given: Inputs) -> Inputs:
        if isinstance(given, Sequences):
            there = given.mask.unsqueeze(2).expand_as(given.values)
            hidden = self._chosen(there.flatten(1)).view_as(given.values)
            return Sequences(given.values.masked_fill(hidden, 0), given.mask)
        there = given == given  # not NaN
        return given.masked_fill(self._chosen(there.flatten(1)).view_as(given), 0)
