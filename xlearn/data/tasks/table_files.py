"""Files of tables to columns: CSV, TSV, JSON, JSON lines, Parquet."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from xlearn.data.tasks.hub import reason
from xlearn.data.tasks.table_encoding import decoded
from xlearn.data.tasks.table_separated import Columns, Dialect, named, separated
from xlearn.runtime.errors import Problem

USUAL = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ENDINGS = (*USUAL, *JSON, ".parquet")
FOUND = Dialect()


def ending(file: Path) -> str:
    """The ending in lower case, without that of a compressed file; empty for a file that is no table."""
    name = file.name.lower()
    compressed = name.endswith(".gz")
    found = Path(name.removesuffix(".gz")).suffix
    return found if found in ENDINGS and not (compressed and found == ".parquet") else ""


def read_file(file: Path, dialect: Dialect = FOUND) -> tuple[Columns, dict[str, str]]:
    """(columns of equal length, what was found of the file where it is unusual: `encoding`, `separator`).

    In CSV and TSV all values are unconverted strings, empty if missing.
    """
    kind = ending(file)
    if not kind:
        shown = file.suffix.lower() or "no ending"
        raise Problem(f"file={file}: {shown} is no table that xlearn reads. Known: {', '.join(ENDINGS)}, and .csv.gz.")
    if file.stat().st_size == 0:
        raise Problem(f"file={file} is empty. It needs a line of column names, and rows.")
    if kind == ".parquet":
        return _parquet(file), {}
    text, encoding = decoded(file, _content(file), dialect.encoding)
    notes = {"encoding": encoding} if encoding else {}
    if not text.strip():
        raise Problem(f"file={file} is empty. It needs a line of column names, and rows.")
    if kind in JSON:
        return _json_array(file, text) if text.lstrip().startswith("[") and kind == ".json" else _json_lines(file, text), notes
    columns, separator = separated(file, text, USUAL[kind], dialect)
    return columns, notes | ({"separator": named(separator)} if separator != USUAL[kind] and dialect.separator is None else {})


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    if not file.name.lower().endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(f"file={file}: it cannot be unpacked ({reason(error)}). Compress it again with gzip.") from error


def _json_array(file: Path, text: str) -> Columns:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise Problem(
            f"file={file} is not JSON ({where}). It must be an array of objects, or have one object a line."
        ) from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise Problem(f'file={file}: entry {number} is no object, as in [{{"text": "...", "label": "..."}}].')
    return _columns(rows)


def _json_lines(file: Path, text: str) -> Columns:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also by Python itself, for a number of thousands of digits
            told = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise Problem(f"file={file}: line {number} is not JSON ({told}). Each line must be one object.") from error
        if not isinstance(row, dict):
            raise Problem(f'file={file}: line {number} is not an object, as in {{"text": "...", "label": "..."}}.')
        rows.append(row)
    return _columns(rows)


def _columns(rows: list[dict[str, Any]]) -> Columns:
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
