"""The user's own examples, one per row of a table: texts, numbers, and paths of images and sounds."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Ragged
from xlearn.data.tasks import OPEN, Raw, RawColumn
from xlearn.data.tasks.decoding import SPLITS, Decoding
from xlearn.data.tasks.sound import Reading
from xlearn.data.tasks.table_columns import Rows, images, labels, missing, numbers, sounds, texts
from xlearn.data.tasks.tables import Table, read_table
from xlearn.runtime.errors import Problem, Problems, nearest

MODALITIES = ("text", "image", "audio", "numeric")  # keys of columns


def own_table(
    *,
    file: str,
    label: str = "label",
    text: list[str] | str | None = None,
    image: str | None = None,
    audio: str | None = None,
    numeric: list[str] | None = None,
    split: str | None = None,
    size: int | None = None,
    channels: int = 3,
    background: str = "white",
    rate: int | None = None,
    skip_bad: bool = False,
) -> Raw:
    """`file`: .csv, .tsv (UTF-8), .jsonl, .parquet, a folder of these, of `save_to_disk`, or a name on the hub.

    The other arguments name columns. `label`: classes, words or whole numbers. `text`: one or several, joined by a space.
    `image`, `audio`: paths, relative to the file's folder (or the values that `datasets` stores). `numeric`: numbers. At least
    one of these four is a modality. `split`: train, val or test of each row; null: from the names of files, such as test.csv.

    Images are read as by `image_folder` (`size`, `channels`, `background`); `rate` is that of the waves in Hz (null: the lowest
    of the files'). An empty cell is a missing modality of its row. A row without any modality, without a label, or with an
    unreadable value (a damaged file, a word among numbers) raises `Problem` with its place. With `skip_bad` it is left out and
    counted instead.
    """
    text_columns: list[str] = [text] if isinstance(text, str) else [] if text is None else list(text)
    numeric_columns: list[str] = [] if numeric is None else list(numeric)
    single = {"label": label, "image": image, "audio": audio, "split": split}
    named: dict[str, list[str]] = {"text": text_columns, "numeric": numeric_columns}
    named |= {key: [column] for key, column in single.items() if column is not None}
    decoding, reading = Decoding(file, size, channels, skip_bad, background), Reading(file, rate, None, skip_bad)
    decoding.check()
    reading.check()
    table = read_table(file)
    _check(table, named)
    rows = Rows(table)
    official = _official(table, split)
    positions, classes = labels(rows, label)
    inputs: dict[str, RawColumn] = {}
    there: dict[str, Tensor] = {}
    content: dict[str, Tensor] = {}
    near: dict[str, Tensor] = {}
    notes: dict[str, Any] = {}
    waves_rate = None
    # Cheap checks first, so that they raise before thousands of files are read.
    if text_columns:
        inputs["text"], there["text"] = texts(rows, text_columns)
    if numeric_columns:
        inputs["tabular"], there["tabular"] = numbers(rows, numeric_columns)
    given = {name: rows.files(name, column) for name, column in (("image", image), ("audio", audio)) if column is not None}
    there |= {name: torch.tensor([value is not None for value in values]) for name, values in given.items()}
    for row in torch.nonzero(~torch.stack(list(there.values())).any(0)).flatten().tolist():
        rows.bad.setdefault(row, f"nothing in {', '.join(column for key in MODALITIES for column in named.get(key, []))}")
    if not skip_bad:
        rows.refuse_bad()
    if image is not None:
        pictures, there["image"] = images(rows, given["image"], decoding)
        inputs["image"], content["image"], near["image"] = pictures.images, pictures.content, pictures.near
        notes |= pictures.notes
    if audio is not None:
        heard, there["audio"] = sounds(rows, given["audio"], reading)
        inputs["audio"], content["audio"], waves_rate = heard.waves, heard.content, heard.rate
        notes |= heard.notes
    good = torch.tensor([row for row in range(len(table)) if row not in rows.bad], dtype=torch.int64)
    kept = positions[good]
    used = kept.unique().tolist()
    if len(used) < 2:
        raise Problem(f"label={label}: {file} has {len(used)} class(es) in {len(good)} rows. At least two are needed.")
    relabel = torch.full((len(classes),), -1)
    relabel[used] = torch.arange(len(used))
    present = {name: some[good] for name, some in there.items() if not bool(some[good].all())}
    notes = {name: note for name, note in notes.items() if name not in ("bad_images", "bad_sounds")}  # bad rows count them
    notes |= {"bad_rows": len(rows.bad)} if skip_bad else {}
    notes |= {"missing": {name: int((~some).sum()) for name, some in present.items()}} if present else {}
    return Raw(
        {name: _taken(column, good) for name, column in inputs.items()},
        relabel[kept],
        tuple(classes[position] for position in used),
        "labels",
        None if official is None else official[good],
        notes,
        present,
        waves_rate,
        tuple(numeric_columns),
        dict.fromkeys(inputs, (f"table {table.content}", good)),
        content={name: digests[good] for name, digests in content.items()},
        near={name: hashes[good] for name, hashes in near.items()},
    )


def _check(table: Table, named: dict[str, list[str]]) -> None:
    problems = []
    for key, columns in named.items():
        for column in columns:
            lacking = [part.name for part in table.parts if column not in part.columns]
            if len(lacking) == len(table.parts):
                problems.append(f"{key}={column}: {table.name} has no such column. {nearest(column, table.names)}")
            elif lacking:
                problems.append(f"{key}={column}: {lacking[0]} has no such column, other files have. Add it there.")
            if columns.count(column) > 1:
                problems.append(f"{key}: {column} is named twice. Name it once.")
    read = {column: key for key in MODALITIES for column in named.get(key, [])}
    if not read:
        problems.append("text, image, audio and numeric are all null: name a column for at least one of them.")
    for key in ("label", "split"):
        problems += [
            f"{read[column]}={column} is the {key} too; the network would read its own answer. Name another column."
            for column in named.get(key, [])
            if column in read
        ]
    if problems:
        raise Problems(problems)


def _official(table: Table, split: str | None) -> Tensor | None:
    """int8 `[n]`: OPEN, VAL or TEST, by the column, else by the names of files; None without either."""
    if split is None:
        told: Iterable[Any] | None = table.splits()
        if told is None:
            return None
    else:
        told = table.column(split)
    found = []
    for row, value in enumerate(told):
        word = str(value).strip().lower()
        if missing(value) or word not in SPLITS:
            raise Problem(
                f"split={split}: {table.place(row)} holds {value!r}, which is neither training, validation nor test. "
                f"{nearest(word, SPLITS)}"
            )
        found.append(SPLITS[word])
    if OPEN not in found:
        raise Problem(f"file={table.name}: no row is for training, by {split or 'the names of its files'}. Call some train.")
    return torch.tensor(found, dtype=torch.int8)


def _taken(column: RawColumn, index: Tensor) -> RawColumn:
    if isinstance(column, list):
        return [column[row] for row in index.tolist()]
    if len(index) == len(column):
        return column
    return column.subset(index) if isinstance(column, Ragged) else column[index]
