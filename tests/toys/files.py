"""Files of the user's own data."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import datasets
import numpy
import pandas
import soundfile
from PIL import Image

from toys.tasks import pixels


def write_table(folder: Path, rows: list[dict], ending: str = "csv", name: str = "table") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.{ending}"
    frame = pandas.DataFrame(rows)
    if ending == "saved":
        datasets.Dataset.from_pandas(frame, preserve_index=False).save_to_disk(file)
    elif ending == "parquet":
        frame.to_parquet(file)
    elif ending == "jsonl":
        file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", encoding="utf-8")
    else:
        frame.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    return str(file)


def write_picture(folder: Path, name: str, seed: int = 0) -> str:
    Image.fromarray(pixels(seed)).save(folder / name)
    return name


def write_sound(folder: Path, name: str, length: int = 800, rate: int = 8000, pitch: int = 300) -> str:
    soundfile.write(folder / name, numpy.sin(numpy.arange(length) * pitch / rate * 6.28) / 2, rate)
    return name


def script(name: str) -> Any:
    """A file of `scripts/` as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", Path(__file__).parents[2] / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
