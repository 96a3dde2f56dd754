"""A small convolutional network over audio frames, with an output that padding does not change."""

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from xlearn.data.columns import Sequences
from xlearn.data.modalities.audio import AudioSpec
from xlearn.encoders.layout import channels_last
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers, need_normalised
from xlearn.runtime.errors import Problem


class Stage(nn.Module):
    """Convolution over time x band, layer normalisation of every frame over its channels and bands, ReLU.

    Padding frames are zero before every convolution, like everything outside of the spectrogram, and no statistic runs over
    time. So neither padding nor the other examples of a batch change the output.
    """

    def __init__(self, before: int, after: int, bands: int, kernel: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2)
        self.bands = -(-bands // stride[1])
        self.norm = nn.LayerNorm(self.bands * after)
        self.stride = stride[0]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """`x [batch, channels, frames, bands]`, zero where `mask bool [batch, frames]` is False; returns both, downsampled."""
        x, mask = self.convolution(x), mask[:, :: self.stride]
        # Channels last in memory: the values of a frame are adjacent, and nothing is copied.
        frames = self.norm(x.permute(0, 2, 3, 1).flatten(2)).relu() * mask.unsqueeze(-1)
        return frames.unflatten(2, (self.bands, -1)).permute(0, 3, 1, 2), mask


class AudioCnn(nn.Module):
    """Convolutions 5 x 5, then 3 x 3, one per entry of `channels`, a dense layer per frame, and pooling over time by `tokens`.

    Bands are halved by the first three convolutions, frames by the first and the third: with frames every 10 ms each token
    covers 40 ms. `tokens=one`: the mean and the maximum over time, through a dense layer, `[batch, 1, dense]`. `tokens=frames`:
    one token per remaining frame, `[batch, ceil(frames / 4), dense]`, and their mask. Reads `Sequences` of frames
    `[batch, frames, bands]`; a sound without any frame gives zeros under a False mask.
    """

    def __init__(
        self,
        spec: AudioSpec,
        *,
        channels: list[int],
        dense: int,
        tokens: Literal["one", "frames"] = "one",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        _check(spec, channels, dense, dropout)
        stages: list[Stage] = []
        bands = spec.bands
        for position, (before, after) in enumerate(itertools.pairwise([1, *channels])):
            stride = (1 if position % 2 or position > 2 else 2, 2 if position < 3 else 1)
            stages.append(Stage(before, after, bands, 5 if position == 0 else 3, stride))
            bands = stages[-1].bands
            need_normalised("encoder.audio", f"channels={list(channels)} on {spec.bands} band(s)", after * bands)
        self.blocks = nn.ModuleList(stages)
        self.dropout = nn.Dropout(dropout)
        self.frame = nn.Linear(channels[-1] * bands, dense)
        self.pooled = nn.Linear(2 * dense, dense) if tokens == "one" else None
        self.width = dense

    def forward(self, sound: Sequences) -> Tokens:
        mask = sound.mask
        x = channels_last(sound.values.masked_fill(~mask.unsqueeze(-1), 0).unsqueeze(1))
        for stage in self.blocks:
            x, mask = stage(x, mask)
        frames = self.frame(self.dropout(x.permute(0, 2, 3, 1).flatten(2))).relu() * mask.unsqueeze(-1)
        if self.pooled is None:
            return Tokens(frames, mask)
        # After the ReLU no value is below zero, so padding is never above the maximum.
        mean = frames.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        there = mask.any(1, keepdim=True)
        return Tokens((self.pooled(torch.cat([mean, frames.amax(1)], 1)).relu() * there).unsqueeze(1), there)


def _check(spec: AudioSpec, channels: list[int], dense: int, dropout: float) -> None:
    if spec.bands == 0:
        raise Problem("encoder.audio: audio_cnn reads frames, but these are waves. Choose an encoder that reads waves.")
    need_layers("encoder.audio", "channels", channels, dropout)
    need_layers("encoder.audio", "dense", [dense])
