"""Shared parts of encoders that read token numbers: the embedding, and the treatment of padding."""

from torch import Tensor, nn

from xlearn.data.modalities.text import TextSpec
from xlearn.data.task import Spec
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem


class Embedding(nn.Embedding):
    """Token numbers (any integer type, 0 is padding) to vectors `[..., width]` from N(0, `deviation`^2); padding is zero."""

    def __init__(self, vocabulary: int, width: int, deviation: float) -> None:
        self.deviation = deviation
        super().__init__(vocabulary, width, padding_idx=0)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.deviation)
        self._fill_padding_idx_with_zero()

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.long())


def need_text(spec: Spec) -> TextSpec:
    """Raise `Problem` if the inputs are not token numbers."""
    if not isinstance(spec, TextSpec):
        raise Problem(f"encoder: this encoder reads token numbers, not {type(spec).__name__}. Choose it as encoder/text=....")
    return spec


def tokens(values: Tensor, mask: Tensor) -> Tokens:
    """`values` with zeros where `mask` is False."""
    return Tokens(values.masked_fill(~mask.unsqueeze(-1), 0), mask)
