"""wav2vec 2.0, HuBERT and WavLM of Hugging Face, by their name on the hub or from a folder."""

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
from xlearn.encoders.hf import model, pretrained
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem

# Off: they draw in every training step, in part from numpy's state, which a run does not seed, and leave parameters unused.
WITHOUT = {"apply_spec_augment": False, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0}


class HuggingFaceAudio(nn.Module):
    """Wav2Vec2, HuBERT or WavLM, by the name on the hub or a folder of `save_pretrained`.

    Reads waves `[batch, samples]` at the model's own rate, each with mean 0 and variance 1 if the model needs that. Gives a
    token per 20 ms (by its convolutions), their mean (`pool=mean`) or all (`none`). Time masking and layer drop are off. The
    output for a clip does not depend on the rest of its batch: attention skips padding, and a network that normalises over time
    (`feat_extract_norm=group`, as wav2vec2-base) reads clips of one length at a time, unpadded. `weights`: `published`, or null
    for the same network with random weights; `rate` as in `xlearn.encoders`. Needs the extra `hf`.
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
        self.width = int(config.output_hidden_size if getattr(config, "add_adapter", False) else config.hidden_size)
        # The samples of the first frame's receptive field: a shorter clip would have no frame.
        jumps = [math.prod(config.conv_stride[:layer]) for layer in range(len(config.conv_stride))]
        self.least = 1 + sum((size - 1) * jump for size, jump in zip(config.conv_kernel, jumps, strict=True))
        self.masked = config.feat_extract_norm == "layer"

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
        there, lengths = mask.any(1), mask.sum(1)
        if (missing := self.least - waves.shape[1]) > 0:
            waves = functional.pad(waves, (0, missing))
        # A missing clip is read as silence of the batch's length, because attention over nothing is NaN.
        lengths = torch.where(there, lengths.clamp_min(self.least), waves.shape[1])
        seen = torch.arange(waves.shape[1], device=waves.device) < lengths[:, None]
        values = self._values(waves, lengths, seen.long())
        frames = self.model._get_feature_vector_attention_mask(values.shape[1], seen.long()).bool()
        return pooled(values, frames & there[:, None], self.pool)

    def _values(self, waves: Tensor, lengths: Tensor, seen: Tensor) -> Tensor:
        """`[batch, frames, width]`; values in padding have no meaning."""
        with warnings.catch_warnings():
            # WavLM hands torch two masks of different types.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            if self.masked:
                return self.model(waves, attention_mask=seen).last_hidden_state
            parts = []
            for length in lengths.unique().tolist():
                rows = torch.nonzero(lengths == length).squeeze(1)
                parts.append((rows, self.model(waves[rows, :length]).last_hidden_state))
        values = parts[-1][1].new_zeros(len(waves), parts[-1][1].shape[1], self.width)
        for rows, part in parts:
            values[rows, : part.shape[1]] = part
        return values
