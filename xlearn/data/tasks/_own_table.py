"""The user's own examples, one per row of a table: texts, numbers, categories, dates, and paths of images and sounds."""

from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Ragged
from xlearn.data.tasks import Raw, RawColumn
from xlearn.data.tasks.decoding import Decoding
from xlearn.data.tasks.owners import owners
from xlearn.data.tasks.sound import Reading
from xlearn.data.tasks.table_columns import Rows, images, sounds, texts
from xlearn.data.tasks.table_labels import Labels, MissingLabels, labels
from xlearn.data.tasks.table_numbers import chosen
from xlearn.data.tasks.table_roles import MODALITIES, check_columns, check_words, listed, official_splits
from xlearn.data.tasks.table_separated import Dialect
from xlearn.data.tasks.table_tabular import Kinds, tabular
from xlearn.data.tasks.tables import read_table
from xlearn.runtime.errors import Problem


def own_table(
    *,
    file: str,
    label: str = "label",
    text: list[str] | str | None = None,
    image: str | None = None,
    audio: str | None = None,
    numeric: list[str] | str | None = None,
    category: list[str] | str | None = None,
    boolean: list[str] | str | None = None,
    date: list[str] | str | None = None,
    split: str | None = None,
    split_by: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    quotes: bool | None = None,
    decimal: str | None = None,
    date_format: str | None = None,
    missing_labels: MissingLabels = "unlabelled",
    normalise_labels: bool = False,
    class_names: list[str] | None = None,
    size: int | None = None,
    channels: int = 3,
    background: str = "white",
    rate: int | None = None,
    skip_bad: bool = False,
) -> Raw:
    """`file`: .csv, .tsv, .jsonl, .json (also with .gz), .parquet, a folder of these, of `save_to_disk`, or a name on the hub.

    The next arguments name columns. `label`: classes, words or whole numbers. `text`: one or several. `image`, `audio`: paths,
    relative to the file's folder (or the values that `datasets` stores). `numeric`: numbers; `all`, or patterns such as `x*`,
    leave out what is named elsewhere. `category`: words. `boolean`: truth values, read as 0 and 1. `date`: read as
    their parts (`xlearn.data.tasks.table_dates`). At least one of these is needed. `split`: train, val or test of each row;
    null: from the names of files, such as test.csv. `split_by`: rows with the same value stay on one side of every split.

    How the file is written: `separator`, `encoding`, `quotes` (whether quotation marks enclose values), `decimal`
    (`point` or `comma`), `date_format` (as of Python's strptime, e.g. `%d.%m.%Y`); null finds them, and raises
    `Problem` where several would fit.

    `missing_labels`: a row whose label is empty, NA, nan, none, null, n/a or ? is `unlabelled`; `keep` makes these words
    classes. `normalise_labels`: labels that differ in case, white space and width of letters only are one class.
    `class_names`: all classes, where the rows do not show them.

    Images are read as by `image_folder` (`size`, `channels`, `background`); `rate` is that of the waves in Hz (null: the lowest
    of the files'). An empty cell is a missing modality of its row. A row without any modality, or with an unreadable value (a
    damaged file, a word among numbers) raises `Problem` with its place. With `skip_bad` it is left out and counted instead.
    """
    read = {"text": text, "image": image, "audio": audio, "category": category, "boolean": boolean, "date": date}
    named = {key: listed(columns) for key, columns in read.items()}
    roles = {"label": [label], "split": listed(split), "split_by": listed(split_by)}
    decoding, reading = Decoding(file, size, channels, skip_bad, background), Reading(file, rate, None, skip_bad)
    decoding.check()
    reading.check()
    decimal = check_words(decimal=decimal, missing_labels=missing_labels)
    table = read_table(file, Dialect(separator, encoding, quotes))
    named["numeric"] = chosen(table, numeric, [column for columns in (*named.values(), *roles.values()) for column in columns])
    check_columns(table, named, roles)
    rows = Rows(table)
    official = official_splits(table, split)
    names = None if class_names is None else [str(each) for each in class_names]
    found = labels(rows, label, missing_labels=missing_labels, normalise=normalise_labels, class_names=names)
    inputs: dict[str, RawColumn] = {}
    there: dict[str, Tensor] = {}
    content: dict[str, Tensor] = {}
    near: dict[str, Tensor] = {}
    notes: dict[str, Any] = {**table.notes, **found.notes}
    columns: tuple[str, ...] = ()
    waves_rate = None
    # Cheap checks first, so that they raise before thousands of files are read.
    if named["text"]:
        inputs["text"], there["text"] = texts(rows, named["text"])
    kinds = Kinds(*(named[key] for key in Kinds._fields))
    if any(kinds):
        inputs["tabular"], there["tabular"], columns, told = tabular(rows, kinds, decimal, date_format)
        notes |= told
    if numeric == "all" or "all" in listed(numeric):
        known = {column for group in (*named.values(), *roles.values()) for column in group}
        notes["not_numeric"] = [name for name in table.names if name not in known]
    given = {name: rows.files(name, column) for name in ("image", "audio") for column in named[name]}
    there |= {name: torch.tensor([value is not None for value in values]) for name, values in given.items()}
    for row in torch.nonzero(~torch.stack(list(there.values())).any(0)).flatten().tolist():
        rows.bad.setdefault(row, f"nothing in {', '.join(column for key in MODALITIES for column in named[key])}")
    if not skip_bad:
        rows.refuse_bad()
    if "image" in given:
        pictures, there["image"] = images(rows, given["image"], decoding)
        inputs["image"], content["image"], near["image"] = pictures.images, pictures.content, pictures.near
        notes |= pictures.notes
    if "audio" in given:
        heard, there["audio"] = sounds(rows, given["audio"], reading)
        inputs["audio"], content["audio"], waves_rate = heard.waves, heard.content, heard.rate
        notes |= heard.notes
    good = torch.tensor([row for row in range(len(table)) if row not in rows.bad], dtype=torch.int64)
    positions, classes = _used(found, good, file, label, names)
    labelled = positions >= 0
    present = {name: some[good] for name, some in there.items() if not bool(some[good].all())}
    notes = {name: note for name, note in notes.items() if name not in ("bad_images", "bad_sounds")}  # bad rows count them
    notes |= {"bad_rows": len(rows.bad)} if skip_bad else {}
    notes |= {} if bool(labelled.all()) else {"unlabelled_rows": int((~labelled).sum())}
    notes |= {"missing": {name: int((~some).sum()) for name, some in present.items()}} if present else {}
    return Raw(
        {name: _taken(column, good) for name, column in inputs.items()},
        positions.clamp_min(0),
        classes,
        "labels",
        None if official is None else official[good],
        notes,
        present,
        waves_rate,
        columns,
        dict.fromkeys(inputs, (f"table {table.content}", good)),
        content={name: digests[good] for name, digests in content.items()},
        near={name: hashes[good] for name, hashes in near.items()},
        names=[table.place(row) for row in good.tolist()],
        owner=None if split_by is None else owners([table.column(split_by)[row] for row in good.tolist()]),
        labelled=None if bool(labelled.all()) else labelled,
        categories=tuple(kinds.category),
        text_columns=tuple(named["text"]),
        skip_bad=skip_bad,
    )


def _used(found: Labels, good: Tensor, file: str, label: str, class_names: list[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    """Positions int64 `[len(good)]` (-1 without a label) among the classes of these rows, and these classes."""
    kept = found.positions[good]
    if class_names is not None:
        return kept, tuple(found.classes)
    used = kept[kept >= 0].unique().tolist()
    if not used and len(good):
        raise Problem(f"label={label}: no row of {file} has a label. Name the classes, as in class_names=[no,yes].")
    if len(used) < 2:
        raise Problem(f"label={label}: {file} has {len(used)} class(es) in {len(good)} rows. At least two are needed.")
    relabel = torch.full((len(found.classes) + 1,), -1)  # the last one is for -1
    relabel[used] = torch.arange(len(used))
    return relabel[kept], tuple(found.classes[position] for position in used)


def _taken(column: RawColumn, index: Tensor) -> RawColumn:
    if isinstance(column, list):
        return [column[row] for row in index.tolist()]
    if len(index) == len(column):
        return column
    return column.subset(index) if isinstance(column, Ragged) else column[index]
