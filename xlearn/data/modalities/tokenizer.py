"""Texts to token numbers with the `tokenizers` library, for learned and published tokenisers."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xlearn.data.columns import Ragged, offsets
from xlearn.data.modalities import Pool
from xlearn.data.tasks import BETWEEN
from xlearn.runtime.errors import Problem

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# The number of texts encoded at once: the library's encodings take a hundred times the memory of the numbers.
AT_ONCE = 2048


def encode(
    texts: Sequence[str],
    tokenizer: "Tokenizer",
    longest: int,
    *,
    task: str,
    present: Tensor | None = None,
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    skip_bad: bool = False,
) -> tuple[Ragged, dict[str, Any]]:
    """(`Ragged` of int32 token numbers, notes). Every sequence has 1 to `longest` tokens, including special ones.

    The tokeniser adds the special tokens that it has a rule for, and keeps them where it truncates; its own settings of padding
    and truncation are replaced. `notes` are `{"truncated": how many, "longest": longest}` if any text was truncated. Rows where
    `present` (`bool [n]`) is False get the single number 0, whatever their text. Raises `Problem` with the name `task` for a
    present text without a token, or with `skip_bad` gives it a 0 and names its row in `notes["unread"]`; `names` are those of
    the rows.

    Texts of several `columns` (separated by `BETWEEN`) are read with spaces between them. Where they are too long together, the
    longest column is cut first, so that short ones stay whole; `notes["truncated_columns"]` counts cut texts by column.
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
    shortened: Counter[str] = Counter()
    for start in range(0, len(texts), AT_ONCE):
        numbers: list[int] = []
        chosen = [text if here else "" for text, here in zip(texts[start : start + AT_ONCE], there[start:], strict=False)]
        read = tokenizer.encode_batch_fast([joined(text) for text in chosen])
        long = [place for place, encoding in enumerate(read) if encoding.overflowing]
        truncated += len(long)
        shared = {}
        if len(columns) > 1 and long:
            tokenizer.no_truncation()
            whole = tokenizer.encode_batch([joined(chosen[place]) for place in long])
            tokenizer.enable_truncation(longest)
            for place, encoding in zip(long, whole, strict=True):
                shared[place], cut = shares(encoding, chosen[place], longest)
                shortened.update(columns[each] for each in cut)
        for place, encoding in enumerate(read):
            row = start + place
            ids = shared.get(place, encoding.ids) if there[row] else [0]
            if there[row] and len(ids) <= special:
                empty.append(row)
                ids = [0]
            numbers += ids
            lengths.append(len(ids))
        parts.append(torch.tensor(numbers, dtype=torch.int32))
    if empty and not skip_bad:
        raise Problem(f"{task}: {_without(empty, names)}. Remove them, or set `present` to False there in the loader.")
    notes: dict[str, Any] = {"truncated": truncated, "longest": longest} if truncated else {}
    notes |= {"unread": empty} if empty else {}
    if shortened:
        notes["truncated_columns"] = {name: shortened[name] for name in columns if shortened[name]}
    return Ragged(torch.cat(parts) if parts else torch.empty(0, dtype=torch.int32), offsets(lengths)), notes


def shares(whole: "Encoding", text: str, longest: int) -> tuple[list[int], list[int]]:
    """(at most `longest` token numbers of a text of several columns, which columns were cut).

    One limit holds for all columns, the largest that fits; places that stay free go to the first of those that are cut. Special
    tokens, which stand for no character, are kept.
    """
    # By character of the joined text: the number of its column. A space belongs to the column that follows it.
    column_of: list[int] = []
    for number, column in enumerate(text.split(BETWEEN)):
        column_of += [number] * (len(column) + bool(column_of and column))
    columns = [
        -1 if special else column_of[min(begin, len(column_of) - 1)]
        for special, (begin, _) in zip(whole.special_tokens_mask, whole.offsets, strict=True)
    ]
    counts = Counter(columns)
    room = longest - counts.pop(-1, 0)
    limit = next(each for each in range(room, -1, -1) if sum(min(count, each) for count in counts.values()) <= room)
    left = {each: min(counts[each], limit) for each in sorted(counts)}
    cut = [each for each in left if left[each] < counts[each]]
    for each in cut[: room - sum(left.values())]:
        left[each] += 1
    cut = [each for each in cut if left[each] < counts[each]]
    found = []
    for number, column in zip(whole.ids, columns, strict=True):
        if column < 0 or left[column] > 0:
            found.append(number)
            left[column] = left.get(column, 0) - 1
    return found, cut


def joined(text: str) -> str:
    """A text of several columns, with spaces between those that are not empty."""
    return " ".join(part for part in text.split(BETWEEN) if part) if BETWEEN in text else text


def texts_of(pool: Pool) -> list[str]:
    """The texts of a pool; those of several columns are joined by spaces."""
    texts = pool.raw.inputs["text"]
    assert isinstance(texts, list)
    return [joined(text) for text in texts] if len(pool.raw.text_columns) > 1 else texts


def _without(rows: list[int], names: Sequence[str]) -> str:
    shown = ", ".join(names[row] if names else str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
    where = shown if names else f"in {'row' if len(rows) == 1 else 'rows'} {shown} (counted from 0)"
    if len(rows) == 1:
        return f"1 text has no token (it is empty or white space), {where}"
    return f"{len(rows)} texts have no token (they are empty or white space), {where}"
