"""wav2vec 2.0, HuBERT, WavLM and their kin of Hugging Face, by their name on the hub or from a folder."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Sequences
from xlearn.data.modalities import Format, Pool
from xlearn.data.modalities.audio import AudioSpec, wave_format
from xlearn.data.tasks.hub import reason
from xlearn.encoders.hf import model, pretrained
from xlearn.encoders.unpadded import Reading, by_length, tried, vectors
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem

# Off: they draw in every training step, in part from numpy's state, which a run does not seed, and leave parameters unused.
WITHOUT = {"apply_spec_augment": False, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0}

# Frames of the trial's two clips beyond the shortest that can be read, and how many frames that may have.
LONG, SHORT, FEWEST = 16, 4, 8


class HuggingFaceAudio(nn.Module):
    """Wav2Vec2, Wav2Vec2-Conformer, HuBERT, WavLM, UniSpeech, SEW or data2vec-audio, by the name on the hub or a folder of
    `save_pretrained`.

    Reads waves `[batch, samples]` at the model's own rate, each with mean 0 and variance 1 if the model needs that. Gives a
    token per 20 ms (by its convolutions; fewer with an adapter), their mean (`pool=mean`) or all (`none`). Time masking and
    layer drop are off. The output for a clip does not depend on the rest of its batch: attention skips padding, and a network
    that padding would change in another way (`feat_extract_norm=group` as in wav2vec2-base, convolutions between blocks,
    adapters) reads clips of one length at a time, unpadded, in training too (`by_length`, found by a trial when it is built).
    A clip below `least` samples is followed by zeros. `weights`: `published`, or null for the same network with random weights;
    `rate` as in `xlearn.encoders`. Needs the extra `hf`. Raises `Problem` for a network that cannot read waves in this way.
    """

    def __init__(
        self,
        spec: AudioSpec,
        *,
        name: str,
        weights: Literal["published"] | None = "published",
        pool: Literal["mean", "none"] = "mean",
        rate: float = 0.03,
    ) -> None:
        super().__init__()
        self.rate = rate
        self.pool = pool
        self.model: Any = model(name, "audio", weights == "published", **WITHOUT)
        config: Any = self.model.config
        if not hasattr(self.model, "_get_feature_vector_attention_mask") or not hasattr(config, "conv_kernel"):
            raise Problem(
                f"encoder.audio.name={name}: {type(self.model).__name__} does not read waves as wav2vec 2.0 does. Choose a "
                "Wav2Vec2, HuBERT or WavLM model."
            )
        # The samples of the first frame's receptive field: a shorter clip would have no frame.
        jumps = [math.prod(config.conv_stride[:layer]) for layer in range(len(config.conv_stride))]
        self.least = 1 + sum((size - 1) * jump for size, jump in zip(config.conv_kernel, jumps, strict=True))
        self.width, self.by_length = self._tried(name, math.prod(config.conv_stride))

    def _tried(self, name: str, stride: int) -> Reading:
        """Read two clips, the shorter one of few frames. `least` becomes the samples of the shortest clip that can be read."""
        generator = torch.Generator().manual_seed(0)
        wave = torch.randn(1, self.least + LONG * stride, generator=generator)
        error: Exception | None = None
        for frames in range(FEWEST):  # SEW joins neighbouring frames: one frame is too few
            self.least += stride if frames else 0
            try:
                clips = [wave.flip(1)[:, : self.least + more * stride] for more in (0, SHORT)]
                return tried(self, self._padded, self._unpadded, wave, clips)
            except Exception as raised:  # the models raise many kinds
                error = raised
        assert error is not None
        raise Problem(
            f"encoder.audio.name={name}: {type(self.model).__name__} cannot read waves as wav2vec 2.0 does ({reason(error)}). "
            "Choose a Wav2Vec2, HuBERT or WavLM model."
        ) from error

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], *, name: str, **others: Any) -> Format:
        """Waves at the model's rate (16,000 Hz where it names none)."""
        rate, standardise = 16000, True
        file = Path(name).expanduser() / "preprocessor_config.json"
        if not Path(name).expanduser().is_dir() or file.is_file():
            extractor = pretrained("AutoFeatureExtractor", name, "audio")
            rate, standardise = int(extractor.sampling_rate), bool(getattr(extractor, "do_normalize", True))
        return wave_format(pools, options, rate, standardise=standardise)

    def forward(self, clips: Sequences) -> Tokens:
        waves, mask = clips
        if (missing := self.least - waves.shape[1]) > 0:
            waves = functional.pad(waves, (0, missing))
            mask = functional.pad(mask, (0, missing))
        if self.by_length:
            lengths = torch.where(mask.any(1), mask.sum(1).clamp_min(self.least), 0)
            values, frames = by_length(self, self._unpadded, waves, lengths, self.width)
        else:
            values, frames = self._padded(Sequences(waves, mask))
        return pooled(values, frames, self.pool)

    def _unpadded(self, waves: Tensor) -> Tensor:
        return vectors(self.model(waves), waves)

    def _padded(self, clips: Sequences) -> Sequences:
        """`[batch, frames, width]`; values in padding have no meaning."""
        waves, mask = clips
        there, lengths = mask.any(1), mask.sum(1)
        # A missing clip is read as silence of the batch's length, because attention over nothing is NaN.
        lengths = torch.where(there, lengths.clamp_min(self.least), waves.shape[1])
        seen = torch.arange(waves.shape[1], device=waves.device) < lengths[:, None]
        with warnings.catch_warnings():
            # WavLM hands torch two masks of different types.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            values = vectors(self.model(waves, attention_mask=seen.long()), waves)
        frames = self.model._get_feature_vector_attention_mask(values.shape[1], seen.long()).bool()
        return Sequences(values, frames & there[:, None])
