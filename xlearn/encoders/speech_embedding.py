"""Google's speech embedding with its published weights from the package index: a pretrained source for speech."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Format, Pool
from xlearn.data.modalities.audio import AudioSpec, wave_format
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.code import code_digest
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import Archive, kept

WEIGHTS = Archive(
    package="openwakeword",
    version="0.4.0",
    file="openwakeword-0.4.0-py3-none-any.whl",
    sha256="2c353f49a35d384507403efde3db439353d8281a52d08a0e42a5b493e5145075",
)
FOLDER = "openwakeword/resources/models"
RATE, BANDS = 16000, 32
# Samples of one frame, and from one frame to the next; frames of one embedding, and from one to the next.
SEEN, HOP = 512, 160
WINDOW, STEP = 76, 8
# At least so many windows per clip: a short word is at another position in each. Leave-one-speaker-out accuracy on FSDD (0.14
# to 2.3 s), mean token and logistic regression: .931 with 1, .966 with 5, .968 with 9; with silence only after the word .610.
WINDOWS = 5

# (channels of its four convolutions, two in the first; pooling after them in time and bands).
STAGES = ((24, (2, 2)), (48, (1, 2)), (72, (2, 2)), (96, (1, 2)), (96, (2, 2)))


@dataclass(frozen=True)
class LogMel:
    """Waves as the frames that the embedding was trained on: `float32 [frames, 32]`, 100 per second."""

    waves: Format
    spec: AudioSpec

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        waves, notes = self.waves(pool)
        assert isinstance(waves, Ragged)
        content = digest([code_digest(__name__), WEIGHTS.sha256, WINDOWS, pool.fingerprint, repr(self.spec)], 16)

        def make() -> dict[str, Tensor]:
            frames = log_mel(waves, published("melspectrogram"))
            return {"values": frames.values, "offsets": frames.offsets}

        return Ragged(**kept(f"speech-embedding-{content}", make, computed=True)), notes


class Convolution(nn.Module):
    """A convolution over 1 x 3 (bands) or 3 x 1 (frames, without padding), then `max(leaky_0.2(x), -0.4)`."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, padding=(0, kernel[1] // 2))

    def forward(self, x: Tensor) -> Tensor:
        return _bounded(self.convolution(x))


class Stage(nn.Module):
    """Convolutions over bands and frames in turn, then the maximum over `pooling` (frames, bands)."""

    def __init__(self, before: int, after: int, pairs: int, pooling: tuple[int, int]) -> None:
        super().__init__()
        kernels = [(1, 3), (3, 1)] * pairs
        self.convolutions = nn.ModuleList(
            Convolution(after if number else before, after, kernel) for number, kernel in enumerate(kernels)
        )
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = convolution(x)
        return functional.max_pool2d(x, self.pooling)


class Stem(nn.Module):
    """3 x 3, ReLU, then a scale and a shift per channel: the batch normalisation of the original with its statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, channels, 3, padding=(0, 1), bias=False)
        self.scale, self.shift = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return _bounded(torch.relu(self.convolution(x)) * self.scale + self.shift)


class SpeechEmbedding(nn.Module):
    """Google's speech_embedding (Lin et al., ICASSP 2020; the copy of openWakeWord 0.4): 330 k parameters, 96 wide.

    Reads log-mel frames `[batch, frames, 32]` of waves at 16 kHz. Each token covers 76 frames (0.775 s), and the next begins 8
    frames (80 ms) later. The network does not pad frames, so that one pass over a clip computes all its windows. Clips below
    1.1 s are centred in silence (see `log_mel`). `weights`: `published` or null (He et al., ICCV 2015); `rate` as in
    `xlearn.encoders`. `pool`: `mean` gives one token, `none` the sequence.
    """

    width = 96

    def __init__(
        self,
        spec: AudioSpec,
        *,
        weights: Literal["published"] | None = "published",
        pool: Literal["mean", "none"] = "mean",
        rate: float = 0.1,
    ) -> None:
        super().__init__()
        self.rate = rate
        self.pool = pool
        first, final = STAGES[0][0], STAGES[-1][0]
        self.stem = Stem(first)
        befores = [first, *(channels for channels, _ in STAGES[:-1])]
        self.layers = nn.ModuleList(
            Stage(before, channels, 2 if number else 1, pooling)
            for number, (before, (channels, pooling)) in enumerate(zip(befores, STAGES, strict=True))
        )
        self.last = nn.Conv2d(final, self.width, (3, 1), bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 4:
                nn.init.kaiming_normal_(parameter, a=0.2)
        if weights == "published":
            self.load_published(published("embedding_model"))

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], **others: Any) -> LogMel:
        """The published front end at 16 kHz, in place of the modality's own frames."""
        waves = wave_format(pools, options, RATE, standardise=False)
        assert isinstance(waves.spec, AudioSpec)
        return LogMel(waves, AudioSpec(BANDS, RATE, f"speech embedding of {waves.spec.front}"))

    def forward(self, clips: Sequences) -> Tokens:
        frames, mask = clips
        lengths = mask.sum(1)
        if (missing := WINDOW - frames.shape[1]) > 0:
            frames = functional.pad(frames, (0, 0, 0, missing))
        x = self.stem(frames.unsqueeze(1))
        for layer in self.layers:
            x = layer(x)
        values = self.last(x).squeeze(3).transpose(1, 2)
        windows = torch.where(lengths > 0, (lengths - WINDOW).clamp_min(0) // STEP + 1, 0)
        return pooled(values, torch.arange(values.shape[1], device=mask.device) < windows[:, None], self.pool)

    @torch.no_grad()
    def load_published(self, given: Mapping[str, Tensor]) -> None:
        """Load the initialisers of `embedding_model.onnx`."""
        first = "model/batch_normalization/"
        weight, shift = given[f"{first}ReadVariableOp:0"], given[f"{first}ReadVariableOp_1:0"]
        mean, variance = (given[f"{first}FusedBatchNormV3/ReadVariableOp{end}:0"] for end in ("", "_1"))
        scale = weight / (variance + 1e-3).sqrt()
        inside = "StatefulPartitionedCall/" * 2
        found = {
            "stem.convolution.weight": given[f"model/conv2d/{inside}Conv2D/ReadVariableOp:0"],
            "stem.scale": scale.reshape(-1, 1, 1),
            "stem.shift": (shift - mean * scale).reshape(-1, 1, 1),
            "last.weight": given["model/conv2d_19/Conv2D/ReadVariableOp:0"],
        }
        names = [name for name, module in self.named_modules() if isinstance(module, nn.Conv2d)][1:-1]
        for number, name in enumerate(names, 1):
            found[f"{name}.weight"] = given[f"model/conv2d_{number}/Conv2D_weights_fused_bn"]
            found[f"{name}.bias"] = given[f"model/conv2d_{number}/Conv2D_bias_fused_bn"]
        self.load_state_dict(found)


def _bounded(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2).clamp_min(-0.4)


def log_mel(waves: Ragged, front: Mapping[str, Tensor]) -> Ragged:
    """Frames of each wave (float32 in [-1, 1] at 16 kHz): `d / 10 + 2` of its decibels `d`, at most 80 below its loudest.

    `d = 10 log10(max(|STFT|^2 mel, 1e-10))` of 16-bit samples. Silence extends every clip to whole windows, at least 5, half of
    it before the clip and half after; a clip without samples (the modality is missing) gets no frames.
    """
    bases = torch.cat([front["0.stft.conv_real.weight"], front["0.stft.conv_imag.weight"]]).squeeze(1).t()
    whole = SEEN + HOP * (WINDOW - 1 + STEP * (WINDOWS - 1))
    found = []
    for begin, end in zip(waves.offsets[:-1].tolist(), waves.offsets[1:].tolist(), strict=True):
        if begin == end:
            found.append(torch.empty(0, BANDS))
            continue
        lacking = max(whole - (end - begin), -(end - begin - whole) % (HOP * STEP))
        wave = functional.pad(waves.values[begin:end] * 32768, (lacking // 2, lacking - lacking // 2))
        real, imaginary = (wave.unfold(0, SEEN, HOP) @ bases).chunk(2, dim=1)
        decibels = ((real.square() + imaginary.square()) @ front["1.melW"]).clamp_min(1e-10).log10() * 10
        found.append(decibels.clamp_min(decibels.max() - 80) / 10 + 2)
    return Ragged.of(found)


def published(name: str) -> dict[str, Tensor]:
    """The float32 initialisers of one of the archive's ONNX files, by name."""
    return initialisers(WEIGHTS.member(f"{FOLDER}/{name}.onnx").read_bytes())


def initialisers(model: bytes) -> dict[str, Tensor]:
    """The float32 initialisers with `raw_data` of an ONNX file: ModelProto.graph (7), .initializer (5), TensorProto.

    Only these two levels of protocol buffers are read, so that the weights need no other package.
    """
    found = {}
    for graph in (value for field, value in _fields(model) if field == 7):
        for tensor in (value for field, value in _fields(graph) if field == 5):
            parts = list(_fields(tensor))
            kind, name, raw = ([value for field, value in parts if field == wanted] for wanted in (2, 8, 9))
            if kind == [1] and raw:  # 1: float32
                shape = [value for field, value in parts if field == 1]
                array = np.frombuffer(raw[0], "<f4").reshape(shape).copy()
                found[bytes(name[0]).decode()] = torch.from_numpy(array)
    return found


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of the fields of a protocol buffer message: whole numbers, or views of bytes."""
    view, at = memoryview(message), 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = view[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(view):
        field, wire = divmod(number(), 8)
        if wire == 0:
            yield field, number()
            continue
        size = {1: 8, 5: 4}.get(wire) or number()
        yield field, view[at : at + size]
        at += size
