"""Removes repeated texts: a copy in training and another in the test would be a leak."""

import unicodedata
from collections.abc import Sequence


def spelled(text: str) -> str:
    """The text as learned tokenisers normalise it: NFKC, lower case, single spaces. Texts are equal if these are."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def without_duplicates(texts: Sequence[str], labels: Sequence[int]) -> tuple[list[int], dict[str, int]]:
    """(rows to keep, notes) in the order given: the first of equal texts, and none of those that have different labels.

    Texts are equal if they are `spelled` the same. `notes` count the removed copies (rows), and the texts with different
    labels. Rows = those kept + copies + texts with different labels.
    """
    names = [spelled(text) for text in texts]
    known: dict[str, set[int]] = {}
    for name, label in zip(names, labels, strict=True):
        known.setdefault(name, set()).add(label)
    first = first_rows(names)
    kept = [row for row, name in enumerate(names) if len(known[name]) == 1 and first[row] == row]
    torn = sum(len(each) > 1 for each in known.values())
    counts = {"duplicates_removed": len(names) - len(known), "contradictions_removed": torn}
    return kept, {key: count for key, count in counts.items() if count}


def first_rows(names: Sequence[str]) -> list[int]:
    """For each row the first one that has the same name."""
    first: dict[str, int] = {}
    return [first.setdefault(name, row) for row, name in enumerate(names)]
