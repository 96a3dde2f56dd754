"""The multimodal bottleneck transformer: modalities exchange information through a few tokens only."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import average, complete, pool
from xlearn.fusion.projection import projections
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_heads, need_normalised, need_sizes
from xlearn.runtime.errors import Problem


class Bottleneck(nn.Module):
    """Multimodal bottleneck transformer (Nagrani et al., NeurIPS 2021).

    Every layer of every modality is a transformer layer on `[its tokens, bottlenecks]`: `[h_m, b_m] <- layer_m([h_m, b])`, then
    `b <- mean of b_m` over the modalities an example has. It starts with `h_m = P_m x_m` per token and `bottlenecks` learned
    tokens b. The result is the mean over the present modalities of `norm_m(mean token of h_m)`: the paper's averaged decisions,
    with mean pooling in place of class tokens. Layers are those of a ViT (norm first, GELU), with `2 width` hidden units. One
    layer would exchange nothing between modalities.

    With d = `width`: `sum_m (widths_m + 1) d + bottlenecks d + M (layers (8 d^2 + 11 d) + 2 d)` parameters. Raises `Problem`
    for sizes below 1 (layers below 2), heads that do not divide `width` and a dropout outside [0, 1).
    """

    def __init__(
        self, widths: Mapping[str, int], *, width: int, heads: int, layers: int, bottlenecks: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width, heads=heads, bottlenecks=bottlenecks)
        need_heads("fusion", heads, width)
        need_normalised("fusion", f"width={width}", width)
        if layers < 2:
            raise Problem(f"fusion.layers={layers}: modalities exchange information between layers. Give 2 or more.")
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width)
        self.bottlenecks = nn.Parameter(torch.randn(bottlenecks, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: _layer(width, heads, dropout) for name in sorted(widths)}) for _ in range(layers)
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in sorted(widths)})

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        given = complete(tokens, self.widths)
        hidden = {name: self.project[name](values) for name, (values, _) in given.items()}
        present = torch.stack([mask.any(1) for _, mask in given.values()], dim=1)
        between = self.bottlenecks.expand(len(present), -1, -1)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            seen: list[Tensor] = []
            for name, (_, mask) in given.items():
                length, count = mask.shape[1], between.shape[1]
                padding = torch.cat([~mask, mask.new_zeros(len(mask), count)], dim=1)
                joined = layer[name](torch.cat([hidden[name], between], dim=1), src_key_padding_mask=padding)
                hidden[name], own = joined.split([length, count], dim=1)
                seen.append(own.flatten(1))
            between = average(torch.stack(seen, dim=1), present).unflatten(1, (-1, self.width))
        vectors = [self.norm[name](pool(Tokens(hidden[name], mask))[0]) for name, (_, mask) in given.items()]
        return average(torch.stack(vectors, dim=1), present)


def _layer(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        width, heads, dim_feedforward=2 * width, dropout=dropout, activation="gelu", batch_first=True, norm_first=True
    )
