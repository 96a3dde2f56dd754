"""Token dropout."""

from dataclasses import replace

import torch

from xlearn.data.augment import INSERTS_UNKNOWN, UNKNOWN, inputs_of
from xlearn.data.columns import Sequences
from xlearn.data.modalities.text import without_tokens
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declares


@declares(INSERTS_UNKNOWN)
def token_dropout(batch: Batch, generator: torch.Generator, *, share: float) -> Batch:
    """Replace every token of a text by the unknown one (number 1) with probability `share`, but no padding.

    The "word dropout" of Iyyer et al. (ACL 2015), in the form that keeps lengths and positions. For tokenisers in which number
    1 is unknown, as those learned by xlearn. A batch without token numbers is returned unchanged.
    """
    if not 0 <= share < 1:
        raise Problem(f"augment.token_dropout.share={share}: give a share in [0, 1), e.g. 0.1.")
    texts = inputs_of(batch, "text")
    if not isinstance(texts, Sequences) or texts.values.is_floating_point():
        return batch
    return replace(batch, inputs={**batch.inputs, "text": without_tokens(texts, UNKNOWN, share, generator)})
