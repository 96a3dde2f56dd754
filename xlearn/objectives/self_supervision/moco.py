"""MoCo: momentum contrast of a view with a queue of keys from earlier batches."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.evaluating import evaluating
from xlearn.objectives.parts.moving_average import Features, MovingAverage
from xlearn.objectives.self_supervision.projector import projector
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem


class MoCo(SelfSupervised):
    """`mean_i -log[ exp(q_i k_i / t) / (exp(q_i k_i / t) + sum_n exp(q_i n / t)) ]`: q_i and k_i are unit vectors of two views
    of an example, n the keys of earlier batches in the role's queue (He et al., CVPR 2020, eq. 1), t the temperature. The
    projector is that of MoCo v2, two layers without normalisation (Chen et al., 2020). One loss per role.

    Keys come without gradient from the moving average of network and projector, `w' = d w' + (1 - d) w` after each step, d =
    `decay`, in evaluation mode with averaged running statistics (Cai et al., CVPR 2021). So batch statistics do not reveal the
    positive key; the paper shuffles its batches for this. The paper has d = 0.999 and a queue of 65536.
    A batch's keys replace the oldest in the queue after the step, so they are never their own negatives. Empty slots are no
    negatives: the first loss is 0 (the paper starts with random keys). A queue has `queue` keys, but at most half the role's
    training examples, because a longer one would contain earlier keys of the same example. Between two epochs, about one
    example in eight still has its earlier key as a negative.

    Raises: `Problem` for a temperature not above 0, a decay outside [0, 1), and queue, width or hidden below 1; needs batches
    of two examples.
    """

    needs = replace(SelfSupervised.needs, views=True, runs_encoders=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        width: int = 64,
        hidden: int = 128,
        temperature: float = 0.2,
        queue: int = 1024,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise Problem(f"moco: temperature={temperature}: give more than 0, e.g. 0.2.")
        if queue < 1:
            raise Problem(f"moco: queue={queue}: give 1 key or more, e.g. 1024.")
        if not 0 <= decay < 1:
            raise Problem(f"moco: decay={decay}: give a share in [0, 1), e.g. 0.99.")
        self.context, self.temperature = context, temperature
        network = context.network
        self.projector = projector(network.width, width, hidden, network, "moco projector", normalised=False)
        self.key_network = MovingAverage(Features(network))
        self.key_projector = MovingAverage(self.projector)
        self.register_buffer("decay", torch.tensor(decay))
        sizes = {role: max(1, min(queue, len(task.train) // 2)) for role, task in context.tasks.items()}
        # By position: names of modules cannot be those of all tasks.
        self.positions = {role: position for position, role in enumerate(sizes)}
        self.queues = nn.ModuleList(Queue(size, width) for size in sizes.values())
        # The keys of the current step, added to the queue after it.
        self.fresh: dict[str, Tensor] = {}

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses, self.fresh = {}, {}
        for role, batch in batches.items():
            one, other = (self.context.view(batch) for _ in range(2))
            features = network.features(one).float()
            with evaluating(network):
                target = self.key_network(Features(network), other).float()
            self.monitor.note(role, features)
            with torch.autocast(features.device.type, enabled=False):
                queries = functional.normalize(self.projector(features), dim=1)
                keys = functional.normalize(self.key_projector(self.projector, target), dim=1)
                losses[f"moco_{role}"] = contrast(queries, keys, self.queue(role), self.temperature)
            self.fresh[role] = keys
        return losses

    def queue(self, role: str) -> "Queue":
        found = self.queues[self.positions[role]]
        assert isinstance(found, Queue)
        return found

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        self.key_network.follow(Features(network), self.decay)
        self.key_projector.follow(self.projector, self.decay)
        for role, keys in self.fresh.items():
            self.queue(role).add(keys)
        self.fresh = {}


class Queue(nn.Module):
    """The last `size` added keys, `float [size, width]`; `added int64 []` counts all additions."""

    keys: Tensor
    added: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, width))
        self.register_buffer("added", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """Which slots have a key, `bool [size]`."""
        return torch.arange(len(self.keys), device=self.keys.device) < self.added

    def add(self, keys: Tensor) -> None:
        """Add keys, `float [n, width]`, in place of the oldest; of more than `size` keys only the last are kept."""
        kept = keys[-len(self.keys) :]
        places = (self.added + len(keys) - len(kept) + torch.arange(len(kept), device=keys.device)) % len(self.keys)
        self.keys[places] = kept
        self.added += len(keys)


def contrast(queries: Tensor, keys: Tensor, queue: Queue, temperature: float) -> Tensor:
    """InfoNCE of unit vectors `float [n, width]` with the queue's keys as negatives; 0 for an empty queue."""
    own = (queries * keys).sum(1, keepdim=True)
    others = (queries @ queue.keys.T).masked_fill(~queue.filled, -torch.inf)
    scores = torch.cat([own, others], dim=1) / temperature
    return functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.int64, device=scores.device))
