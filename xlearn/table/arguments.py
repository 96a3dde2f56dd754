"""The arguments of `xlearn table`. Imports nothing heavy."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from xlearn.runtime.errors import Problem, nearest

FORMATS = ("markdown", "latex", "csv", "html", "json")
ENDINGS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html", ".json": "json"}
CURVE_ENDINGS = {".png": "picture", ".svg": "picture", ".pdf": "picture"}


@dataclass(frozen=True)
class Sources:
    """Folders of runs, or the name of a table with changes to its sweep, or the JSON file of a finished table."""

    folders: list[Path]
    name: str | None
    overrides: list[str]
    file: Path | None = None


def sources(words: list[str], tables: dict[str, Path]) -> Sources:
    """Sort the words into folders, tables, overrides. Raises `Problem` for an unknown word or an invalid combination."""
    folders: list[Path] = []
    names: list[str] = []
    overrides: list[str] = []
    if len(words) == 1 and (file := Path(words[0]).expanduser()).suffix == ".json" and file.is_file():
        return Sources([], None, [], file)
    for word in words:
        if word in tables:
            names.append(word)
        elif Path(word).expanduser().is_dir():
            folders.append(Path(word).expanduser())
        elif "=" in word:
            overrides.append(word)
        else:
            raise Problem(f"{word} is neither a folder nor a table. {_elsewhere(word, tables)}")
    if not folders and not names:
        raise Problem(f"Say what to show: a folder of results (outputs), or a table: {', '.join(tables)}.")
    if names and (folders or len(names) > 1):
        raise Problem(f"{' '.join(words)}: show one table, or folders. ./{names[0]} is the folder of that name.")
    if overrides and not names:
        raise Problem(f"{overrides[0]} is no folder. To show only these runs, write --where {overrides[0]}.")
    return Sources(folders, names[0] if names else None, overrides)


def _elsewhere(word: str, tables: dict[str, Path]) -> str:
    """Where the results of an experiment of this name may be, or the nearest names."""
    for place in (Path("outputs"), Path("..") / "outputs"):
        if (place / word).is_dir():
            return f"There is a folder {place / word}: xlearn table {place / word}."
    below = [each.name for each in Path("outputs").iterdir() if each.is_dir()] if Path("outputs").is_dir() else []
    if close := difflib.get_close_matches(word, below, n=1, cutoff=0.6):
        return f"Did you mean {Path('outputs') / close[0]}?"
    return f"{nearest(word, tables)} The results of experiment={word} are in outputs/{word} of the folder where it ran."


def keys(text: str) -> list[str]:
    """The keys of `--rows` or `--columns`."""
    found = [each.strip() for each in text.split(",") if each.strip()]
    if not found:
        raise Problem("--rows and --columns need a key each, such as transfer or target.shots.")
    return found


def where(text: str) -> tuple[str, str]:
    """The key and the values of a `--where`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise Problem(f"--where {text}: write KEY=VALUE, such as target.shots=5.")
    return key, value


def form(out: Path | None, curve: str | None) -> str:
    """The format by the suffix of `--out`; markdown for any other suffix."""
    suffix = out.suffix if out is not None else ""
    if suffix in CURVE_ENDINGS and curve is None:
        raise Problem(f"--out {out}: only a curve is written as {suffix}. Add --curve NAME, or use {', '.join(ENDINGS)}.")
    return {**ENDINGS, **CURVE_ENDINGS}.get(suffix, "markdown")
