"""Texts that occur more than once: a copy in training and another in the test would be a leak."""

from collections.abc import Sequence


def without_duplicates(texts: Sequence[str], labels: Sequence[int]) -> tuple[list[str], list[int], dict[str, int]]:
    """(texts, labels, notes) in the order given: the first of equal texts, and none of those that have different labels.

    Texts are equal if they are so without the white space around them. `notes` count what was left out: the further copies
    (rows), and the texts with different labels. Rows = those kept + copies + texts with different labels.
    """
    names = [text.strip() for text in texts]
    known: dict[str, set[int]] = {}
    for name, label in zip(names, labels, strict=True):
        known.setdefault(name, set()).add(label)
    first = {name: row for row, name in reversed(list(enumerate(names)))}
    kept = [row for row, name in enumerate(names) if len(known[name]) == 1 and first[name] == row]
    torn = sum(len(each) > 1 for each in known.values())
    counts = {"duplicates_removed": len(names) - len(known), "contradictions_removed": torn}
    return [texts[row] for row in kept], [labels[row] for row in kept], {key: count for key, count in counts.items() if count}
