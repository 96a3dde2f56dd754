"""A label space from outside of the package: directions, whose error is an angle. Nothing about it is like classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toys.tasks import SIDE
from xlearn.data.tasks import Raw
from xlearn.label_spaces import LabelSpace


class OnCircle(nn.Module):
    """A head that is no linear layer: points on the unit circle, by two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, 12), nn.Linear(12, 2)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.normalize(self.second(self.first(features).tanh()), dim=1)


@dataclass(frozen=True)
class Angles(LabelSpace):
    """Labels are angles in radians, `float [n]`, in (-pi, pi]: often below 0. Outputs are points on the unit circle."""

    metrics: ClassVar[Mapping[str, bool]] = {"degrees": False, "within_right_angle": True}
    metric: ClassVar[str] = "degrees"
    kind: ClassVar[str] = "angles"
    floor_name: ClassVar[str] = "mean direction"
    group: ClassVar[str] = "half"

    @property
    def key(self) -> str:
        return f"angles_{self.name}"

    @property
    def width(self) -> int:
        return 2

    def head(self, width: int) -> nn.Module:
        return OnCircle(width)

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return 1 - (outputs * _points(labels)).sum(1)

    def predictions(self, outputs: Tensor) -> Tensor:
        return torch.atan2(outputs[:, 1], outputs[:, 0])

    def measure(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        errors = (self.predictions(outputs) - labels + torch.pi).remainder(2 * torch.pi) - torch.pi
        degrees = errors.double().abs().rad2deg()
        return {"degrees": float(degrees.mean()), "within_right_angle": float((degrees < 90).double().mean())}

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        return None if training is None else _points(training).mean(0).expand(count, 2)

    def strata(self, labels: Tensor) -> Tensor:
        """The left and the right half of the circle."""
        return (labels.cos() >= 0).long()


def _points(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def hands(*, count: int = 160, shift: float = 0.0) -> Raw:
    """Grey images of a bright spot that stands in the direction of its label, seen from the middle; `shift` brightens all."""
    generator = torch.Generator().manual_seed(3)
    angles = (torch.rand(count, generator=generator) * 2 - 1) * torch.pi
    grid = torch.linspace(-1, 1, SIDE)
    distance = (grid - 0.6 * angles.cos()[:, None, None]).square() + (
        grid[:, None] - 0.6 * angles.sin()[:, None, None]
    ).square()
    images = 200 * torch.exp(-4 * distance) + shift + torch.rand(count, SIDE, SIDE, generator=generator) * 20
    return Raw({"image": images.clamp(0, 255).byte()[:, None]}, angles, space="hands", predicts=Angles)
