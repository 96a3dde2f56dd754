"""An encoder of texts with a form of its own."""

import torch

from xlearn.data.columns import Ragged
from xlearn.data.task import TextSpec
from xlearn.networks.network import Tokens


class _Form:
    spec = TextSpec(256, 40, "letters", None)

    def __call__(self, pool):
        texts = pool.raw.inputs["text"]
        return Ragged.of([torch.tensor([*text.encode()[:40]], dtype=torch.int32) for text in texts]), {}


class Letters(torch.nn.Module):
    """The mean of an embedding of bytes, and a layer."""

    width = 16

    def __init__(self, spec: TextSpec, *, embedding: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(256, 16)
        self.layer = torch.nn.Linear(16, 16)

    @staticmethod
    def format(pools, options, **others):
        return _Form()

    def forward(self, texts):
        values, mask = texts
        found = self.embedding(values.long()) * mask.unsqueeze(-1)
        return Tokens(self.layer(found.sum(1, keepdim=True) / mask.sum(1).clamp_min(1)[:, None, None]))
