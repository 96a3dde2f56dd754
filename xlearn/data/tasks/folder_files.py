"""Every file below a folder: those that are read, and why the others are not."""

import os
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from xlearn.runtime.errors import Problem

# Neighbours that a message names.
FEW = 8
# What macOS puts beside the files of an archive: hidden files under another name.
HIDDEN = "__MACOSX"


@dataclass(frozen=True)
class Entry:
    """A file, or an empty folder. `folders`: the names from the root down to it, as people read them (`name_of`). `skipped`:
    the reason why it is not read, in words; None for a file that is.
    """

    file: Path
    folders: tuple[str, ...]
    skipped: str | None = None

    @property
    def name(self) -> str:
        """Its path below the root."""
        return "/".join((*self.folders, name_of(self.file.name)))


def name_of(name: str) -> str:
    """The name of a file or folder for people: in composed characters (NFC; macOS writes decomposed ones), and with codes in
    the place of bytes that are no UTF-8.
    """
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def existing_folder(key: str, folder: str, expected: str) -> Path:
    """The folder with its links resolved, the same for all its spellings. Raises `Problem`, with what lies beside it."""
    try:
        path = Path(folder).expanduser()
        found = path.resolve()
        there = found.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, the home of an unknown user, a zero byte
        raise Problem(f"{key}={_short(folder)}: this is no path ({_short(str(error))}). Give {expected}.") from error
    if not there:
        what = "this is a file" if found.is_file() else "there is no such folder"
        raise Problem(f"{key}={_short(folder)}: {what}. Give {expected}.{_neighbours(found)}")
    return found


def files_below(root: Path, endings: Collection[str]) -> list[Entry]:
    """The entries below a folder, in the order of their paths. Links to folders are followed, each folder once."""
    return sorted(_entries(root, (), endings, {os.path.realpath(root)}), key=lambda entry: entry.file.parts)


def _entries(folder: Path, above: tuple[str, ...], endings: Collection[str], known: set[str]) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            inside = sorted(found, key=lambda each: each.name)
    except OSError as error:
        yield Entry(folder, above, f"folder that cannot be opened ({error.strerror})")
        return
    if not inside and above:
        yield Entry(folder, above, "empty folder")
    for each in inside:
        path = folder / each.name
        if each.name.startswith(".") or each.name == HIDDEN:
            yield Entry(path, above, "hidden")
        elif each.is_dir():
            if (place := os.path.realpath(path)) in known and each.is_symlink():
                yield Entry(path, above, "link to a folder that is read already")
                continue
            known.add(place)
            yield from _entries(path, (*above, name_of(each.name)), endings, known)
        else:
            yield Entry(path, above, _reason(each, path.suffix.lower(), endings))


def _reason(each: "os.DirEntry[str]", ending: str, endings: Collection[str]) -> str | None:
    if not each.is_file():
        return "broken link" if each.is_symlink() else "no regular file"
    if ending in endings:
        return None
    if not ending:
        return "no ending"
    return f"ending {name_of(ending)}"


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _neighbours(path: Path) -> str:
    """A sentence with a few folders in the nearest folder above that exists, those of similar names first."""
    import difflib

    above = next((each for each in path.parents if each.is_dir()), None)
    if above is None or above == Path(above.anchor):
        return "" if above is None else f" Its nearest folder that exists is {above}."
    wanted = path.relative_to(above).parts[0]
    try:
        names = sorted(each.name for each in above.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError:
        names = []
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    listed = [name_of(name) for name in (close or names)[:FEW]]
    more = ", ..." if not close and len(names) > FEW else ""
    holds = f", which holds the folders {', '.join(listed)}{more}" if listed else ", which holds no folder"
    return f" Its nearest folder that exists is {name_of(str(above))}{holds}."
