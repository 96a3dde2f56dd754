"""Texts to token numbers with the `tokenizers` library, for learned and published tokenisers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xlearn.data.columns import Ragged, offsets
from xlearn.data.modalities import Pool
from xlearn.runtime.errors import Problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The number of texts encoded at once: the library's encodings take a hundred times the memory of the numbers.
AT_ONCE = 2048


def encode(
    texts: Sequence[str], tokenizer: "Tokenizer", longest: int, *, task: str, present: Tensor | None = None
) -> tuple[Ragged, dict[str, Any]]:
    """(`Ragged` of int32 token numbers, notes). Every sequence has 1 to `longest` tokens, including special ones.

    The tokeniser adds the special tokens that it has a rule for, and keeps them where it truncates; its own settings of padding
    and truncation are replaced. `notes` are `{"truncated": how many, "longest": longest}` if any text was truncated. Rows where
    `present` (`bool [n]`) is False get the single number 0, whatever their text. Raises `Problem` with the name `task` for a
    present text without a token.
    """
    special = tokenizer.num_special_tokens_to_add(False)
    if longest <= special:
        raise Problem(f"{task}: {longest} tokens leave no room beside {special} special ones. Give more than {special}.")
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    there = [True] * len(texts) if present is None else present.tolist()
    lengths: list[int] = []
    parts: list[Tensor] = []
    empty: list[int] = []
    truncated = 0
    for start in range(0, len(texts), AT_ONCE):
        numbers: list[int] = []
        chosen = [text if here else "" for text, here in zip(texts[start : start + AT_ONCE], there[start:], strict=False)]
        for row, encoding in enumerate(tokenizer.encode_batch_fast(chosen), start):
            ids = encoding.ids if there[row] else [0]
            if there[row] and len(ids) <= special:
                empty.append(row)
            truncated += bool(encoding.overflowing)
            numbers += ids
            lengths.append(len(ids))
        parts.append(torch.tensor(numbers, dtype=torch.int32))
    if empty:
        raise Problem(f"{task}: {_without(empty)}. Remove them, or set `present` to False there in the loader.")
    notes = {"truncated": truncated, "longest": longest} if truncated else {}
    return Ragged(torch.cat(parts) if parts else torch.empty(0, dtype=torch.int32), offsets(lengths)), notes


def texts_of(pool: Pool) -> list[str]:
    texts = pool.raw.inputs["text"]
    assert isinstance(texts, list)
    return texts


def _without(rows: list[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
    if len(rows) == 1:
        return f"1 text has no token (it is empty or white space), in row {shown} (counted from 0)"
    return f"{len(rows)} texts have no token (they are empty or white space), in rows {shown} (counted from 0)"
