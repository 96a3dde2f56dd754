"""Rotation prediction: by which right angle was an image turned?"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch, ImageSpec
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class Rotation(SelfSupervised):
    """`mean_i 1/4 sum_k CE(W f(x_i turned by 90 k degrees), k)`, k = 0..3 (Gidaris et al., ICLR 2018, eq. 2-3).

    Every image is in the batch in all four rotations, as the paper found best: the network reads `4 batch` images in a step.
    Turned counterclockwise. W is a linear head of its own on the features of the image alone, other modalities are not read;
    examples without an image do not count. The features are those that heads read, where the paper takes an earlier block for
    its probes. Of what looks alike when turned (o, 8, x) there is nothing to learn.

    Raises `Problem` where a task has no images, or a frozen network encoded them, and for images that are not square.
    """

    changes_inputs = True

    def __init__(self, context: PhaseContext) -> None:
        super().__init__()
        for task in context.tasks.values():
            spec = task.inputs.get("image")
            if spec is None:
                raise Problem(
                    f"rotation turns images, and {task.name} has {' and '.join(sorted(task.inputs))} only. Choose tasks of "
                    "images, or another pretrain, e.g. mae."
                )
            if not isinstance(spec, ImageSpec):
                raise Problem(
                    f"rotation turns images, and of those of {task.name} there is only what a frozen network made of them. "
                    "Choose encoder/image=cnn."
                )
            if spec.height != spec.width:
                raise Problem(
                    f"rotation turns square images, and those of {task.name} are {spec.height} x {spec.width}. Set image.size, "
                    "e.g. to 32."
                )
        self.classifier = linear(context.network.width, 4, context.network, "rotation")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            features = network.features(turned(batch))
            self.monitor.note(role, features[: len(batch)])
            with torch.autocast(features.device.type, enabled=False):
                logits = self.classifier(features.float())
                angles = torch.arange(4, device=logits.device).repeat_interleave(len(batch))
                each = functional.cross_entropy(logits, angles, reduction="none").view(4, -1).mean(0)
                there = batch.present.get("image", torch.ones_like(each, dtype=torch.bool))
                losses[f"rotation_{role}"] = (each * there).sum() / there.sum().clamp_min(1)
        return losses


def turned(batch: Batch) -> Batch:
    """The images of the batch alone, `[4 batch, channels, side, side]`: as they are, then by 90, 180 and 270 degrees."""
    images = batch.inputs["image"]
    assert isinstance(images, Tensor)
    four = torch.cat([images.rot90(quarter, (2, 3)) for quarter in range(4)])
    present = {name: there.repeat(4) for name, there in batch.present.items() if name == "image"}
    return replace(
        batch.only("image"), inputs={"image": four}, labels=batch.labels.repeat(4), present=present, taught={}, memo={}
    )
