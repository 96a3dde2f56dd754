"""The gated multimodal unit: a weight for every modality and feature."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all, shares
from xlearn.fusion.projection import projections, stacked
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Gated(nn.Module):
    """`sum_m z_m * tanh(P_m x_m)` with gates `z = softmax_m(g)`, `g_m = G_m [x_1, ..., x_M]` and `g_M = 0` for the last.

    The gated multimodal unit (Arevalo et al., 2017). For two modalities it is the paper's tied form
    `z * tanh(P_1 x_1) + (1 - z) * tanh(P_2 x_2)`, `z = sigmoid(G [x_1, x_2])`. For more the paper has untied sigmoids;
    the softmax keeps the gates tied, so that a missing modality's part goes to the others. All maps have a bias (the
    paper writes none). x_m is the mean token of modality m, zeros where missing; modalities in alphabetical order.
    `sum_m (widths_m + 1) width + (sum_m widths_m + 1) (M - 1) width` parameters; a single modality has no gate.
    Raises `Problem` for a width below 1.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int) -> None:
        super().__init__()
        need_sizes("fusion", width=width)
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width)
        free = len(widths) - 1
        self.gate = nn.Linear(sum(widths.values()), free * width) if free else None

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        parts = torch.tanh(stacked(self.project, vectors))
        scores = torch.zeros_like(parts[:, :1])
        if self.gate is not None:
            free = self.gate(torch.cat(list(vectors.values()), dim=1)).unflatten(1, (-1, self.width))
            scores = torch.cat([free, scores], dim=1)
        return (shares(scores, present) * parts).sum(1)
