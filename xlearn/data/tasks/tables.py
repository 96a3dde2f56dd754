"""Tables of examples: CSV, TSV, JSON, Parquet, a folder of these, or a data set of `datasets`."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlearn.data.tasks.hub import load_hub, need_known_splits, splits_of
from xlearn.data.tasks.table_files import ENDINGS, FOUND, ending, plain, read_file
from xlearn.data.tasks.table_separated import Columns, Dialect
from xlearn.runtime.errors import Problem, beside
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import sha256


@dataclass(frozen=True)
class Part:
    """One file, or one split of a data set: `name` for messages, `split` where a name gives it."""

    name: str
    split: str | None
    columns: Columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


@dataclass(frozen=True)
class Table:
    """The columns that all `parts` have, concatenated. Paths in them are relative to `folder`.

    `content` identifies the content of the files, wherever they are. `notes`: what was found of them where it is unusual.
    """

    name: str
    folder: Path
    parts: list[Part]
    content: str
    notes: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def names(self) -> list[str]:
        """The columns that all parts have, in the order of the first."""
        return [name for name in self.parts[0].columns if all(name in part.columns for part in self.parts)]

    def column(self, name: str) -> list[Any]:
        return [value for part in self.parts for value in part.columns[name]]

    def place(self, row: int) -> str:
        """ "row 3 of train.csv": rows are counted from 1 in each part, without the line of names."""
        for part in self.parts:
            if row < len(part):
                return f"row {row + 1} of {part.name}"
            row -= len(part)
        raise IndexError(row)

    def splits(self) -> list[str] | None:
        """The split of every row, by the names of files or of the data set's splits; None without several splits."""
        if len({part.split for part in self.parts}) < 2:
            return None
        return [part.split or "train" for part in self.parts for _ in range(len(part))]


def read_table(name: str, dialect: Dialect = FOUND) -> Table:
    """A file, a folder of files (named by split, or not), a folder of `save_to_disk`, or a `datasets` name.

    Raises `Problem` for a table that is missing, empty, damaged, of an unknown encoding, or of another kind.
    """
    path = Path(name).expanduser()
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        import datasets

        return _of_set(name, path, datasets.load_from_disk(str(path)))
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if ending(file) and file.is_file())
        # Beside tables of another kind, .json files describe them.
        files = [file for file in files if ending(file) != ".json"] or files
        if not files:
            raise Problem(f"file={name}: no table below this folder. Known endings: {', '.join(ENDINGS)}.")
        if len({ending(file) for file in files}) > 1:
            raise Problem(f"file={name}: tables of several kinds ({files[0].name}, {files[-1].name}). Name one of them.")
        split_of = splits_of("file", files, path)
        return _of_files(name, path, {file: split_of[file] for file in files}, dialect)
    if path.is_file():
        return _of_files(name, path.parent, {path: None}, dialect)
    if path.suffix.lower() in (*ENDINGS, ".gz") or path.is_absolute():
        raise Problem(f"file={name}: there is no such file. {beside(path)}")
    return _of_set(name, Path(), load_hub("file", name))


def _of_files(name: str, folder: Path, split_of: dict[Path, str | None], dialect: Dialect) -> Table:
    parts = []
    found: dict[str, list[str]] = {}
    for file, split in split_of.items():
        columns, notes = read_file(file, dialect)
        parts.append(Part(str(file.relative_to(folder)), split, columns))
        for key, note in notes.items():
            found.setdefault(key, []).append(note)
    notes = {key: ", ".join(dict.fromkeys(each)) for key, each in found.items()}
    return _nonempty(Table(name, folder, parts, _content(list(split_of)), notes))


def _content(files: list[Path]) -> str:
    return digest([sha256(file) for file in files], 16)


def stamp_of(paths: list[Path], contents: list[bytes]) -> str:
    """Identifies the content of files (by path, size and time) and of embedded ones (by digest)."""
    content = hashlib.blake2b(digest_size=16)
    for path in paths:
        state = path.stat()
        content.update(repr((str(path.resolve()), state.st_size, state.st_mtime_ns)).encode())
    for each in contents:
        content.update(hashlib.blake2b(each, digest_size=16).digest())
    return content.hexdigest()


def _nonempty(table: Table) -> Table:
    for part in table.parts:
        if len(part) == 0:
            raise Problem(f"file={table.name}: {part.name} holds no row. Remove it, or fill it.")
    return table


def _of_set(name: str, folder: Path, found: Any) -> Table:
    splits = dict(found) if isinstance(found, dict) else {"train": found}
    need_known_splits("file", name, list(splits))
    parts = [Part(f"split {split}", split, plain(part.with_format("arrow")[:])) for split, part in splits.items()]
    content = digest([part._fingerprint for part in splits.values()], 16)
    return _nonempty(Table(name, folder, parts, content))
