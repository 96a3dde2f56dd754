"""What encoders of token numbers share: the embedding, and the settings they refuse."""

from torch import Tensor, nn

from xlearn.errors import Problem, Problems
from xlearn.network import Tokens
from xlearn.task import Spec, TextSpec


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
    """Raise where the inputs are no token numbers."""
    if not isinstance(spec, TextSpec):
        raise Problem(f"encoder: this one reads token numbers, not {type(spec).__name__}. Choose it as encoder/text=....")
    return spec


def need_options(*, dropout: float, **sizes: int) -> None:
    """Raise `Problems` for sizes below 1 and a dropout outside [0, 1)."""
    problems = [f"encoder.text.{name}={size}: give 1 or more." for name, size in sizes.items() if size < 1]
    if not 0 <= dropout < 1:
        problems.append(f"encoder.text.dropout={dropout}: give a share of 0 or more and below 1, e.g. 0.1.")
    if problems:
        raise Problems(problems)


def tokens(values: Tensor, mask: Tensor) -> Tokens:
    """`values` with zeros where `mask` is False."""
    return Tokens(values.masked_fill(~mask.unsqueeze(-1), 0), mask)
