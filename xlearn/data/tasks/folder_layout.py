"""Which folder is a split, which a class: read from the names and the depth of the folders that hold files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xlearn.data.tasks import OPEN
from xlearn.data.tasks.decoding import SPLITS
from xlearn.data.tasks.folder_files import Entry
from xlearn.data.tasks.split_names import is_fold, is_unlabelled, split_of
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Placed:
    """An entry at its place: the word for its split, its class (None: no label), and the folders `below` the class."""

    entry: Entry
    split: str
    label: str | None
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """`placed`: the entries that have a class or are unlabelled, skipped ones too. `beside`: entries at other places. `flat`:
    there is no class folder at all. `like_split`: a class that is called like a split.
    """

    placed: list[Placed]
    beside: list[Entry]
    flat: bool = False
    like_split: str | None = None


def layout(entries: Sequence[Entry], folder: str, kind: str) -> Layout:
    """`<class>/...`, `<split>/<class>/...`, `<class>/<split>/...` or files without any folder, which are unlabelled. A folder
    called `unlabeled` may stand in the place of a class. Hidden entries are left out. `kind` (images, sounds) is for messages.

    Raises `Problem` for folders that look like splits and are not used as such.
    """
    visible = [each for each in entries if each.skipped != "hidden"]
    read = [each.folders for each in visible if each.skipped is None]
    top = list(dict.fromkeys(folders[0] for folders in read if folders))
    splits = [name for name in top if split_of(name)]
    others = [name for name in top if name not in splits and not is_unlabelled(name)]
    if not splits and not others:
        return _unlabelled(visible)
    _need_splits(splits, others, read, folder, kind)
    if splits and not others:
        return _splits_above(visible, set(splits))
    found = _classes(visible)
    if all(is_fold(name) for name in others) and len(others) > 1:
        raise Problem(
            f"folder={folder}: {', '.join(others[:5])} look like parts of cross-validation, not like classes. Expected "
            f"{folder}/<class>/<file>; to keep parts together use split_by."
        )
    found = _splits_below(found, folder)
    return replace(found, like_split=splits[0] if splits else None)


def _unlabelled(visible: list[Entry]) -> Layout:
    placed, beside = [], []
    for each in visible:
        if each.folders and is_unlabelled(each.folders[0]):
            placed.append(Placed(each, "train", None, each.folders[1:]))
        elif not each.folders:
            placed.append(Placed(each, "train", None))
        else:
            beside.append(each)
    return Layout(placed, beside, flat=True)


def _need_splits(splits: list[str], others: list[str], read: list[tuple[str, ...]], folder: str, kind: str) -> None:
    """Raise `Problem` unless all splits hold class folders and stand beside nothing else, or one of them is a class."""
    expected = f"Expected {folder}/train/<class>/<file>, {folder}/test/<class>/<file> and nothing else, or one folder per class"
    listed, direct = ", ".join(splits), {name: sum(folders == (name,) for folders in read) for name in splits}
    deep = {name: sum(folders[:1] == (name,) and len(folders) > 1 for folders in read) for name in splits}
    if splits and others and (len(splits) > 1 or not direct[splits[0]]):
        raise Problem(
            f"folder={folder}: {listed} look like splits, but beside them stand {', '.join(others[:5])}. {expected} (then "
            "with names that are not those of splits)."
        )
    if splits and not others:
        if shallow := [name for name in splits if direct[name] > deep[name]]:
            raise Problem(
                f"folder={folder}: {listed} look like splits, but there are no class folders in {', '.join(shallow)}. "
                f"{expected}. If these are the classes, rename them; {kind} without labels belong into {folder}/unlabeled."
            )
        if all(SPLITS[split_of(name) or ""] != OPEN for name in splits):
            raise Problem(f"folder={folder}: {listed} look like splits, but none of them is for training. {expected}.")


def _splits_above(visible: list[Entry], splits: set[str]) -> Layout:
    placed, beside = [], []
    for each in visible:
        if len(each.folders) > 1 and (word := split_of(each.folders[0])):
            label = None if is_unlabelled(each.folders[1]) else each.folders[1]
            placed.append(Placed(each, word, label, each.folders[2:]))
        elif each.folders and is_unlabelled(each.folders[0]):
            placed.append(Placed(each, "train", None, each.folders[1:]))
        elif each.folders and split_of(each.folders[0]) and each.folders[0] not in splits:
            placed.append(Placed(each, split_of(each.folders[0]) or "", each.folders[0]))  # a split of which nothing is read
        else:
            beside.append(each)
    return Layout(placed, beside)


def _classes(visible: list[Entry]) -> Layout:
    placed = [
        Placed(each, "train", None if is_unlabelled(each.folders[0]) else each.folders[0], each.folders[1:])
        for each in visible
        if each.folders
    ]
    return Layout(placed, [each for each in visible if not each.folders])


def _splits_below(found: Layout, folder: str) -> Layout:
    """The same with splits, where every class holds folders of splits and nothing else."""
    read = [each for each in found.placed if each.label is not None and each.entry.skipped is None]
    inner = {split_of(each.below[0]) if each.below else None for each in read}
    words = {word for word in inner if word}
    torn = any(
        {SPLITS[word] == OPEN for each in read if each.label == label and each.below and (word := split_of(each.below[0]))}
        == {True, False}
        for label in {each.label for each in read}
    )
    if not words or not (torn or None not in inner):
        return found
    if None in inner or all(SPLITS[word] != OPEN for word in words):
        odd = next((each.entry.name for each in read if not (each.below and split_of(each.below[0]))), None)
        lacking = f"{odd} lies in none" if odd else "none of them is for training"
        raise Problem(
            f"folder={folder}: the classes hold folders that look like splits ({', '.join(sorted(words))}), but {lacking}. "
            f"Expected {folder}/<class>/train/<file>, {folder}/<class>/test/<file> for every class, or "
            f"{folder}/train/<class>/<file>; if they are no splits, rename them."
        )
    placed = [
        replace(each, split=split_of(each.below[0]) or "train", below=each.below[1:])
        if each.label is not None and each.below
        else each
        for each in found.placed
    ]
    return replace(found, placed=placed)
