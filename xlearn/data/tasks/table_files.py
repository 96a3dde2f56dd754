"""Files of tables to columns: CSV, TSV, JSON lines, Parquet."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from xlearn.data.tasks.hub import reason
from xlearn.runtime.errors import Problem

Columns = dict[str, list[Any]]
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def read_file(file: Path) -> Columns:
    """Columns of equal length. In CSV and TSV all values are unconverted strings, empty if missing."""
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise Problem(f"file={file}: {ending or 'no ending'} is no table that xlearn reads. Known: {', '.join(ENDINGS)}.")
    if file.stat().st_size == 0:
        raise Problem(f"file={file} is empty. It needs a line of column names, and rows.")
    if ending == ".parquet":
        return _parquet(file)
    text = _utf8(file)
    return _separated(file, text, "\t" if ending == ".tsv" else ",") if ending in (".csv", ".tsv") else _json_lines(file, text)


def _utf8(file: Path) -> str:
    content = file.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Problem(f"file={file} is UTF-16. Save it as UTF-8, e.g. `iconv -f UTF-16 -t UTF-8`.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content[: error.start].count(b"\n") + 1, content[error.start]
        raise Problem(
            f"file={file}: line {line} is not UTF-8 (byte 0x{byte:02x}). Save the file as UTF-8, e.g. with "
            "`iconv -f WINDOWS-1252 -t UTF-8` if it was made on Windows."
        ) from error


def _separated(file: Path, text: str, separator: str) -> Columns:
    """All values as unconverted strings; a quoted value may hold separators and line ends."""
    csv.field_size_limit(2**31 - 1)  # the default stops at texts of 131,072 characters
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        for row in reader:
            if not row:
                continue  # a blank line
            if not names:
                names = [name.strip() for name in row]
            elif len(row) != len(names):
                raise Problem(
                    f"file={file}: line {reader.line_num} has {len(row)} values, and there are {len(names)} columns. "
                    f"Quote values that hold {'a tab' if separator == chr(9) else 'a comma'}."
                )
            else:
                rows.append(row)
    except csv.Error as error:
        raise Problem(f"file={file}: line {reader.line_num} cannot be read ({error}). Fix its quotes.") from error
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(f"file={file}: two columns are called {twice!r}. Rename one.")
    other = next((each for each in (";", "\t", ",", "|") if len(names) == 1 and each != separator and each in names[0]), None)
    if other:
        raise Problem(f"file={file}: its first line holds {other!r}; .csv is separated by commas, .tsv by tabs. Save it so.")
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)} if rows else {}


def _json_lines(file: Path, text: str) -> Columns:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:  # also by Python itself, for a number of thousands of digits
            told = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise Problem(f"file={file}: line {number} is not JSON ({told}). Each line must be one object.") from error
        if not isinstance(row, dict):
            raise Problem(f'file={file}: line {number} is not an object, as in {{"text": "...", "label": "..."}}.')
        rows.append(row)
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def _parquet(file: Path) -> Columns:
    from pyarrow import parquet

    try:
        return plain(parquet.read_table(file))
    except Exception as error:  # Arrow raises many kinds for damaged files
        raise Problem(f"file={file}: its Parquet cannot be read ({reason(error)}).") from error


def plain(table: Any) -> Columns:
    """Python values of an Arrow table. Where `datasets` wrote class numbers, their names."""
    columns = table.to_pydict()
    if b"huggingface" in (table.schema.metadata or {}):
        import datasets

        for name, kind in datasets.Features.from_arrow_schema(table.schema).items():
            if isinstance(kind, datasets.ClassLabel):
                known = dict(enumerate(kind.names))
                columns[name] = [known.get(value) for value in columns[name]]  # -1: no label
    return columns
