"""Rotation prediction: classify the angle of rotated images (0, 90, 180 or 270 degrees)."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.modalities import modality
from xlearn.data.modalities.image import quarter_turns
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class Rotation(SelfSupervised):
    """`mean_i 1/4 sum_k CE(W f(x_i rotated by 90 k degrees), k)`, k = 0..3 (Gidaris et al., ICLR 2018, eq. 2-3).

    Every image is in the batch in all four rotations (counterclockwise), which the paper found best: the network reads
    `4 batch` images in a step. W is a separate linear head on the image features; other modalities are not read, and examples
    without an image do not count. The features are those below the heads; the paper probes an earlier block. Images that are
    symmetric under rotation (o, 8, x) teach nothing.

    Raises: `Problem` for tasks without images, for precomputed image features, and for images that are not square.
    """

    needs = replace(SelfSupervised.needs, runs_encoders=True)

    def __init__(self, context: PhaseContext) -> None:
        super().__init__()
        for task in context.tasks.values():
            spec = task.inputs.get("image")
            if spec is None:
                raise Problem(
                    f"rotation needs images, but {task.name} has only {' and '.join(sorted(task.inputs))}. Choose tasks with "
                    "images, or another pretrain, e.g. supervised."
                )
            if (turns := modality(spec).turns) is None:
                raise Problem(
                    f"rotation needs images, but {task.name} has only precomputed features of its images. "
                    "Choose encoder/image=cnn."
                )
            self.quarter_turns = turns("rotation", task.name)
        self.classifier = linear(context.network.width, 4, context.network, "rotation")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            features = network.features(turned(batch, self.quarter_turns))
            self.monitor.note(role, features[: len(batch)])
            with torch.autocast(features.device.type, enabled=False):
                logits = self.classifier(features.float())
                angles = torch.arange(4, device=logits.device).repeat_interleave(len(batch))
                each = functional.cross_entropy(logits, angles, reduction="none").view(4, -1).mean(0)
                there = batch.present.get("image", torch.ones_like(each, dtype=torch.bool))
                losses[f"rotation_{role}"] = (each * there).sum() / there.sum().clamp_min(1)
        return losses


def turned(batch: Batch, quarter_turns: Callable[[Tensor], Tensor] = quarter_turns) -> Batch:
    """The images of the batch, `[4 batch, channels, side, side]`: rotated by 0, 90, 180 and 270 degrees."""
    images = batch.inputs["image"]
    assert isinstance(images, Tensor)
    present = {name: there.repeat(4) for name, there in batch.present.items() if name == "image"}
    return replace(
        batch.only("image"),
        inputs={"image": quarter_turns(images)},
        labels=batch.labels.repeat(4),
        present=present,
        taught={},
        memo={},
    )
