"""Frozen features of EfficientNet-Lite0: 1,280 numbers per image, computed once before any training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data.modalities import Pool
from xlearn.data.modalities.image import ImageSpec, adapt
from xlearn.data.modalities.vector import VectorSpec
from xlearn.encoders.efficientnet_lite0 import EfficientNetLite0
from xlearn.encoders.vector import Vector
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import kept

AT_ONCE = 64


@dataclass(frozen=True)
class Pictures:
    """Images as features of the network, resized to `size` first: computed once, and kept on disk."""

    size: int

    @property
    def spec(self) -> VectorSpec:
        return VectorSpec(EfficientNetLite0.width, f"efficientnet_lite0 at {self.size}")

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        key = f"efficientnet-{digest([code_digest(__name__), pool.fingerprint, self.size], 16)}"
        return kept(key, lambda: {"features": self._features(pool)}, computed=True)["features"], {}

    @torch.inference_mode()
    def _features(self, pool: Pool) -> Tensor:
        images = pool.raw.inputs["image"]
        assert isinstance(images, Tensor)
        network = EfficientNetLite0(ImageSpec(3, self.size, self.size), weights="imagenet", size=self.size).eval()
        network.to(memory_format=torch.channels_last)
        parts = []
        for part in tqdm(images.split(AT_ONCE), desc=f"{pool.name}: {self.spec.of}", disable=None, leave=False):
            parts.append(network(adapt(part, ImageSpec(3, *part.shape[2:]))).values[:, 0])
        return torch.cat(parts).clone()


class EfficientNetFeatures(Vector):
    """1,280 features per image of EfficientNet-Lite0 with its ImageNet weights (see `efficientnet_lite0`). They are frozen:
    neither augmentation nor training changes them. One token `[batch, 1, 1280]`, no parameters.
    """

    def __init__(self, spec: VectorSpec, *, size: int = 96) -> None:
        super().__init__(spec)

    @staticmethod
    def reads(*, size: int | None = 96, **_: Any) -> dict[str, Any]:
        """Files of pictures are to be read in the network's size."""
        return {} if size is None else {"size": size}

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], *, size: int = 96) -> Pictures:
        """Nothing is learned from the pools. Raises `Problem` for a size below 32, the network's stride."""
        if size < 32:
            raise Problem(f"encoder.image.size={size}: give 32 or more; the network was trained at 224.")
        return Pictures(size)
