"""Random contrast and brightness."""

from dataclasses import replace

import torch

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def brightness(batch: Batch, generator: torch.Generator, *, contrast: float, brightness: float) -> Batch:
    """`c (x - mean) + mean + 255 b`, clamped to 0..255, `c ~ U[1 - contrast, 1 + contrast]`, `b ~ U[-brightness, brightness]`,
    drawn per example (two of the four colour distortions of SimCLR, Chen et al., ICML 2020, appendix A; no saturation, no hue).

    `mean` is the mean of the example's pixels over all channels. torchvision's ColorJitter takes the mean of the luma, and
    multiplies for brightness instead of adding. Images `[batch, channels, height, width]` become float, still 0..255. Raises
    `Problem` for shares outside [0, 1].
    """
    for name, value in (("contrast", contrast), ("brightness", brightness)):
        if not 0 <= value <= 1:
            raise Problem(f"brightness.{name}={value}: give a share in [0, 1], e.g. 0.3.")
    if (images := pictures(batch)) is None:
        return batch
    drawn = (torch.rand(2, len(images), 1, 1, 1, generator=generator) * 2 - 1).to(images.device)
    pixels = images.float()
    mean = pixels.mean((1, 2, 3), keepdim=True)
    changed = (1 + contrast * drawn[0]) * (pixels - mean) + mean + 255 * brightness * drawn[1]
    return replace(batch, inputs={**batch.inputs, "image": changed.clamp(0, 255)})
