"""Folders that hold one folder per class, with or without folders of splits above or below them."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlearn.data.tasks.folder_files import Entry, existing_folder, files_below, name_of
from xlearn.data.tasks.folder_layout import Layout, Placed, layout
from xlearn.data.tasks.listing import Listing
from xlearn.data.tasks.owners import owners, owners_of_files
from xlearn.runtime.errors import Problem, nearest

# Names that a message lists.
FEW = 5


@dataclass(frozen=True)
class Kind:
    """What is read: the word for it, the endings of its files, two typical paths for messages."""

    word: str
    endings: Collection[str]
    example: tuple[str, str]


def class_folders(
    folder: str, kind: Kind, class_names: Sequence[str] | None, split_by: int | str | None, skip_bad: bool
) -> tuple[list[Path], Listing]:
    """The files below `folder` in the order of their paths, and what their places say of them (see `layout`).

    `class_names`: all classes, for a folder that does not show them all; null: the folders'. `split_by`: see `owners_of_files`.
    Notes: `skipped` files by reason; `composed_names` of folders (NFC), `merged_folders` that differ in it only;
    `label_variants` that differ in case or white space only; `unlabelled` examples; `classes_left_out`.

    Raises `Problem` for a folder that does not exist or has fewer than two classes, for folders that look like splits and are
    none, and, unless `skip_bad`, for a class folder of which no file can be read.
    """
    root = existing_folder("folder", folder, "a folder that holds one folder per class")
    entries = files_below(root, kind.endings)
    found = layout(entries, folder, kind.word)
    lost = _lost(found.placed)
    if lost and not skip_bad:
        listed = "\n  ".join(f"{name}: {_counted(reasons)}" for name, reasons in lost.items())
        raise Problem(
            f"folder={folder}: no file of {len(lost)} class folder(s) can be read. Convert the files, move the folder "
            f"elsewhere, or set skip_bad=true to leave the class out:\n  {listed}"
        )
    read = [each for each in found.placed if each.entry.skipped is None]
    classes = _class_names(read, folder, kind, class_names)
    position = {name: number for number, name in enumerate(classes)}
    labelled = [each.label is not None for each in read]
    listing = Listing(
        classes,
        [0 if each.label is None else position[each.label] for each in read],
        [each.split for each in read],
        [each.entry.name for each in read],
        None if all(labelled) else labelled,
        None if split_by is None else owners(owners_of_files([(each.entry.name, each.below) for each in read], split_by)),
        _notes(entries, found, root, sorted(lost), labelled, classes),
    )
    return [each.entry.file for each in read], listing


def stamp(files: list[Path]) -> str:
    """Identifies the files by their paths, sizes and times."""
    return repr([(str(file), (state := file.stat()).st_size, state.st_mtime_ns) for file in files])


def _class_names(read: list[Placed], folder: str, kind: Kind, class_names: Sequence[str] | None) -> list[str]:
    there = sorted({each.label for each in read if each.label is not None})
    if class_names is not None:
        names = sorted({name_of(str(name)) for name in class_names})
        if len(names) < max(2, len(class_names)):
            raise Problem(f"class_names={list(class_names)}: name two classes or more, each once.")
        if unknown := [name for name in there if name not in names]:
            raise Problem(
                f"class_names={list(class_names)}: {folder} has the class folder {unknown[0]!r}. {nearest(unknown[0], names)}"
            )
        if not read:
            raise Problem(f"folder={folder}: there are no {kind.word} in it. {_expected(folder, kind)}")
        return names
    if read and not there:
        raise Problem(
            f"folder={folder}: {len(read)} {kind.word} without class folders have no labels. {_expected(folder, kind)} For a "
            "target without labels name its classes as the source does, e.g. target.class_names=[cat,dog]."
        )
    if len(there) < 2:
        raise Problem(
            f"folder={folder}: {len(read)} {kind.word} in {len(there)} class folders. {_expected(folder, kind)}"
            + (f" Is {folder}/{there[0]} the folder that you mean?" if any(each.below for each in read) else "")
        )
    return there


def _expected(folder: str, kind: Kind) -> str:
    return f"Expected at least two, as in {folder}/{kind.example[0]} and {folder}/{kind.example[1]}."


def _lost(placed: list[Placed]) -> dict[str, Counter[str]]:
    """By class folder of which no file can be read: how many files are skipped for which reason. (An empty folder is none.)"""
    read: set[str] = set()
    reasons: dict[str, Counter[str]] = {}
    for each in placed:
        if each.label is None:
            continue
        place = "/".join(each.entry.folders[: len(each.entry.folders) - len(each.below)])
        if each.entry.skipped is None:
            read.add(place)
        elif each.entry.skipped != "empty folder":
            reasons.setdefault(place, Counter())[each.entry.skipped] += 1
    return {place: found for place, found in reasons.items() if place not in read}


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(FEW))


def _notes(
    entries: list[Entry], found: Layout, root: Path, lost: list[str], labelled: list[bool], classes: list[str]
) -> dict[str, Any]:
    skipped = Counter(each.skipped for each in entries if each.skipped is not None)
    skipped["beside class folders"] = sum(each.skipped is None for each in found.beside)
    notes: dict[str, Any] = {"skipped": {reason: count for reason, count in sorted(skipped.items()) if count}}
    # By the name of a class or split for people: the names that its folders have on the disk, at each place.
    spellings: dict[tuple[str, ...], set[str]] = {}
    for each in entries:
        real = each.file.relative_to(root).parts
        for depth in range(1, min(len(each.folders), 2) + 1):
            spellings.setdefault(each.folders[:depth], set()).add(real[depth - 1])
    notes["composed_names"] = sorted({name[-1] for name, real in spellings.items() if real != {name[-1]}})
    notes["merged_folders"] = sorted({"/".join(name) for name, real in spellings.items() if len(real) > 1})
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    notes["label_variants"] = [" = ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    notes["class_like_split"] = found.like_split
    notes["unlabelled_rows"] = labelled.count(False)
    notes["classes_left_out"] = lost
    return {name: note for name, note in notes.items() if note}
