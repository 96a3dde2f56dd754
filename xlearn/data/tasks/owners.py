"""Who each example belongs to: rows of one owner (a person, a session, a document) stay on one side of every split."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from xlearn.runtime.errors import Problem

# Files that a message names.
FEW = 5


def owners(values: Sequence[object]) -> Tensor:
    """int64 `[n]`: the number of each row's owner, by first appearance. Equal values are one owner.

    Words are compared without white space around them. A missing value (None, NaN, a text of nothing but white space) is an
    owner of its own, because nothing says that such rows belong together.
    """
    numbers: dict[object, int] = {}
    found = []
    for row, value in enumerate(values):
        value = value.strip() if isinstance(value, str) else value
        unknown = value is None or value == "" or value != value  # only NaN differs from itself
        found.append(numbers.setdefault((row,) if unknown else value, len(numbers)))
    return torch.tensor(found, dtype=torch.int64)


def owners_of_files(files: Sequence[tuple[str, tuple[str, ...]]], split_by: int | str) -> list[str]:
    """The owner of each file, from its path below the folder and the folders between its class and itself.

    `split_by`: the number of one of these folders, 1 for the one right below the class; or a regular expression that is
    searched in the path, whose first group (without groups, the match) is the owner. Raises `Problem` for files without one.
    """
    if isinstance(split_by, int):
        if split_by < 1:
            raise Problem(f"split_by={split_by}: folders below a class are counted from 1. Give that, or a pattern.")
        found = [below[split_by - 1] if len(below) >= split_by else None for _, below in files]
        fix = "Move them, give a smaller number, or a pattern of the path, such as split_by='(speaker[0-9]+)_'."
        lack = f"lie in fewer than {split_by} folder(s) below their class"
    else:
        try:
            pattern = re.compile(split_by)
        except re.error as error:
            raise Problem(f"split_by={split_by}: this is no regular expression ({error}).") from error
        matches = [pattern.search(name) for name, _ in files]
        found = [(match[1] if pattern.groups else match[0]) if match else None for match in matches]
        fix = (
            "Rename them, or widen the pattern; it is searched in the path below the folder, and its first group is the owner."
        )
        lack = "do not match"
    if lacking := [name for (name, _), owner in zip(files, found, strict=True) if not owner]:
        more = ", ..." if len(lacking) > FEW else ""
        raise Problem(
            f"split_by={split_by}: {len(lacking):,} of {len(files):,} files {lack}: {', '.join(lacking[:FEW])}{more}. {fix}"
        )
    return [owner for owner in found if owner]
