"""BYOL: predict the target network's projection of another view; the target network is a moving average."""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.evaluating import evaluating
from xlearn.objectives.parts.moving_average import Features, MovingAverage
from xlearn.objectives.self_supervision.projector import projector
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class Byol(SelfSupervised):
    """`mean_i [2 - 2 cos(q(z_i), z'_i)]`, once with the first view as z and the second as z', and once the other way round
    (Grill et al., NeurIPS 2020, eq. 2): z is the projection of the features, q a predictor, both trained; z' the projection by
    the target network, without a gradient. There are no negatives. One loss per role, 0 to 8.

    The target network is the moving average of network and projector, `w' = d w' + (1 - d) w` after each step, where
    `d = 1 - (1 - decay) (cos(pi k / K) + 1) / 2` grows from `decay` in the first step, k = 0, to 1 after the last, K. The paper
    starts with 0.996, over a hundred thousand steps and more. The target encoder is in evaluation mode, with averaged running
    statistics (Cai et al., CVPR 2021) and without dropout; the paper uses batch statistics. lightly's negative cosine
    similarity, averaged over both directions, is this loss / 4 - 1.

    Raises `Problem` for a decay outside [0, 1), and for width or hidden below 1; needs batches of two examples.
    """

    needs = replace(SelfSupervised.needs, views=True, runs_encoders=True)

    step: Tensor

    def __init__(self, context: PhaseContext, *, width: int = 128, hidden: int = 256, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise Problem(f"byol: decay={decay}: give a share in [0, 1), e.g. 0.99.")
        self.context, self.first_decay, self.steps = context, decay, context.steps
        network = context.network
        self.projector = projector(network.width, width, hidden, network, "byol projector")
        self.predictor = projector(width, width, hidden, network, "byol predictor")
        self.target_network = MovingAverage(Features(network))
        self.target_projector = MovingAverage(self.projector)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            views = [self.context.view(batch) for _ in range(2)]
            features = [network.features(view).float() for view in views]
            with evaluating(network):
                targets = [self.target_network(Features(network), view).float() for view in views]
            self.monitor.note(role, features[0])
            with torch.autocast(features[0].device.type, enabled=False):
                predicted = [self.predictor(self.projector(each)) for each in features]
                wanted = [self.target_projector(self.projector, each) for each in targets]
                losses[f"byol_{role}"] = distance(predicted[0], wanted[1]) + distance(predicted[1], wanted[0])
        return losses

    def decay(self) -> Tensor:
        """d of the current step, a scalar."""
        return 1 - (1 - self.first_decay) * ((math.pi * self.step / self.steps).cos() + 1) / 2

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        decay = self.decay()
        self.target_network.follow(Features(network), decay)
        self.target_projector.follow(self.projector, decay)
        self.step += 1


def distance(predicted: Tensor, wanted: Tensor) -> Tensor:
    """`mean_i |u_i - v_i|^2 = mean_i [2 - 2 cos]` of vectors `float [n, width]`, u and v of length 1."""
    return 2 - 2 * functional.cosine_similarity(predicted, wanted, dim=1).mean()
