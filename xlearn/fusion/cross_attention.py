"""Cross-attention: the tokens of each modality attend to the tokens of the others."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import complete, never_empty, pool
from xlearn.fusion.projection import projections
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_heads, need_normalised, need_sizes


class CrossAttention(nn.Module):
    """Cross-modal attention as in MulT (Tsai et al., ACL 2019), but smaller.

    With `h_m^0 = P_m x_m` per token, each layer is `h_m <- norm(h_m + mean_n attention_mn(h_m, h_n^0))`: the queries are m's
    tokens, keys and values those of n at the start (as in MulT), and the mean is over the other modalities n that an example
    has. The result is `W [mean token of h_1, ..., mean token of h_M] + w`, zeros for a missing modality. Unlike MulT it has no
    convolutions, positions, feed-forward parts or self-attention: encoders have these. Dropout is on the attention weights. A
    single modality has no layers.

    With d = `width`: `sum_m (widths_m + 1) d + layers (M (M - 1) (4 d^2 + 4 d) + 2 M d) + (M d + 1) d` parameters. Raises
    `Problem` for sizes below 1, heads that do not divide `width` and a dropout outside [0, 1).
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, heads: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width, heads=heads, layers=layers)
        need_heads("fusion", heads, width)
        need_normalised("fusion", f"width={width}", width if len(widths) > 1 else 0)
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width)
        depth = layers if len(widths) > 1 else 0
        self.layers = nn.ModuleList(CrossLayer(widths, width, heads, dropout) for _ in range(depth))
        self.join = nn.Linear(len(widths) * width, width)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        given = complete(tokens, self.widths)
        masks = {name: mask for name, (_, mask) in given.items()}
        start = {name: self.project[name](values) for name, (values, _) in given.items()}
        hidden = start
        for layer in self.layers:
            hidden = layer(hidden, start, masks)
        return self.join(torch.cat([pool(Tokens(hidden[name], masks[name]))[0] for name in hidden], dim=1))


class CrossLayer(nn.Module):
    """One layer: `h_m <- norm(h_m + mean over the present n of attention_mn(h_m, source_n))`, for every modality m."""

    def __init__(self, widths: Mapping[str, int], width: int, heads: int, dropout: float) -> None:
        super().__init__()
        names = sorted(widths)
        self.attention = nn.ModuleDict(
            {
                name: nn.ModuleDict(
                    {
                        other: nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
                        for other in names
                        if other != name
                    }
                )
                for name in names
            }
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in names})

    def forward(
        self, hidden: Mapping[str, Tensor], sources: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The updated tokens `[batch, length_m, width]` of every modality. `masks bool [batch, length_m]` are True for valid
        tokens.
        """
        updated: dict[str, Tensor] = {}
        for name, queries in hidden.items():
            attention = self.attention[name]
            assert isinstance(attention, nn.ModuleDict)
            heard = torch.zeros_like(queries)
            count = queries.new_zeros(len(queries), 1, 1)
            for other, keys in sources.items():
                if other == name:
                    continue
                # A softmax over no key is NaN in some kernels: a missing modality keeps one token, and its output is dropped.
                padding = ~never_empty(masks[other])
                answer, _ = attention[other](queries, keys, keys, key_padding_mask=padding, need_weights=False)
                present = masks[other].any(1)[:, None, None].to(queries.dtype)
                heard = heard + present * answer
                count = count + present
            updated[name] = self.norm[name](queries + heard / count.clamp_min(1))
        return updated
