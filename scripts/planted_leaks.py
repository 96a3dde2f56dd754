"""Planted leaks: what the run says of each, and what its accuracy would have been.

    python scripts/planted_leaks.py FOLDER [NAME ...]

Writes data with planted leaks into FOLDER, runs each case as it is by default and once with the guard switched off
(`duplicates=keep`, no `split_by`, or weights without their header), and prints a table. Labels are random wherever nothing else
is said: an accuracy above chance is a leak. docs/honesty.md shows the table.
"""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

SHORT = ["threads=1", "budget=quick", "checkpoint_seconds=1000"]
# The notes of a summary that are about leaks.
SAYS = re.compile(r"copies|different labels|owners|side of the split where|left out|look alike")
TABLE = ["encoder/tabular=mlp", "budget.pretrain.epochs=60", "budget.transfer.steps=400", "target.numeric=all"]


def write(file: Path, header: list[str], rows: list[list[object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return file.resolve()


def noise(count: int, columns: int, classes: int, seed: int) -> tuple[list[str], list[list[object]]]:
    """Random numbers with random labels."""
    random = numpy.random.default_rng(seed)
    values, labels = random.normal(size=(count, columns)).round(4), random.integers(0, classes, count)
    return [*(f"x{n}" for n in range(columns)), "label"], [
        [*row, f"c{label}"] for row, label in zip(values, labels, strict=True)
    ]


def train(folder: Path, words: list[str]) -> tuple[float | None, str]:
    """(accuracy, what was said about leaks) of one run; None if it is refused."""
    done = subprocess.run(
        ["xlearn", "train", *SHORT, *words], cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        said = re.sub(r"\S*/(\S+\.safetensors)", r"\1", " ".join(done.stderr.split()))
        return None, "refused: " + said.partition("error: ")[2].partition(", whatever")[0]
    file = folder / re.findall(r"(\S+/result\.json)", done.stdout)[-1]
    result = json.loads(file.read_text(encoding="utf-8"))
    notes = [note for line in done.stdout.splitlines() for note in line.partition(": ")[2].split("; ") if SAYS.search(note)]
    return result["metrics"]["accuracy"], "; ".join(dict.fromkeys(notes)) or "nothing"


def scratch(file: Path, *more: str) -> list[str]:
    return ["source=none", "transfer=scratch", "target=own_table", f"target.file={file}", "target.shots=null", *TABLE, *more]


def shuffled_table(folder: Path) -> tuple[list[str], list[str]]:
    header, rows = noise(600, 20, 3, 0)
    order = numpy.random.default_rng(1).permutation(600)
    one, other = write(folder / "a.csv", header, rows), write(folder / "b.csv", header, [rows[row] for row in order])
    words = [
        "source=own_table", f"source.own_table.file={other}", "source.own_table.numeric=all", "target=own_table",
        f"target.file={one}", "target.shots=5", "transfer=finetune", *TABLE,
    ]  # fmt: skip
    return words, [*words, "target.duplicates=keep", "source.own_table.duplicates=keep"]


def four_copies(folder: Path) -> tuple[list[str], list[str]]:
    header, rows = noise(150, 20, 3, 0)
    words = scratch(write(folder / "four.csv", header, rows * 4))
    return words, [*words, "target.duplicates=keep"]


def text_copies(folder: Path) -> tuple[list[str], list[str]]:
    random = numpy.random.default_rng(0)
    names = [f"w{n}" for n in range(400)]
    rows: list[list[object]] = []
    for _ in range(200):
        text, label = " ".join(random.choice(names, 8)), f"c{random.integers(0, 2)}"
        rows.append([text, label])
        rows.append([text.upper().replace(" ", ", ") + "!", label])
    file = write(folder / "texts.csv", ["text", "label"], rows)
    words = [
        "source=none", "transfer=scratch", "target=own_table", f"target.file={file}", "target.text=text", "target.shots=null",
        "encoder/text=text_cnn", "budget.transfer.steps=400",
    ]  # fmt: skip
    return words, [*words, "target.duplicates=keep"]


def pictures(folder: Path, write_copy: Callable[[Image.Image, Path], object]) -> tuple[Path, Path]:
    """100 pictures of random colours in two random classes, and a folder with a copy of each under another name."""
    random = numpy.random.default_rng(0)
    for number in range(100):
        drawn = random.integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
        picture = Image.fromarray(drawn).resize((96, 96), Image.Resampling.BICUBIC)
        label = "ab"[random.integers(0, 2)]
        for name in ("one", "two"):
            (folder / name / label).mkdir(parents=True, exist_ok=True)
        picture.save(folder / "one" / label / f"{number:03}.png")
        write_copy(picture, folder / "two" / label / f"x{997 * number % 1000:03}")
    return (folder / "one").resolve(), (folder / "two").resolve()


def renamed_pictures(folder: Path) -> tuple[list[str], list[str]]:
    one, two = pictures(folder, lambda picture, file: picture.save(file.with_suffix(".bmp")))
    words = [
        "source=image_folder", f"source.image_folder.folder={two}", "target=image_folder", f"target.folder={one}",
        "target.shots=5", "encoder/image=conv4", "budget.pretrain.epochs=30", "transfer=linear_probe",
    ]  # fmt: skip
    return words, [*words, "target.duplicates=keep", "source.image_folder.duplicates=keep"]


def near_pictures(folder: Path) -> tuple[list[str], list[str]]:
    one, _ = pictures(folder, lambda picture, file: picture.save(file.with_suffix(".jpg"), quality=60))
    for file in (folder / "two").rglob("*.jpg"):
        file.rename(one / file.parent.name / file.name)
    words = [
        "source=none", "transfer=scratch", "target=image_folder", f"target.folder={one}", "target.shots=null",
        "encoder/image=conv4", "budget.transfer.steps=300",
    ]  # fmt: skip
    return words, words


def owners(folder: Path) -> tuple[list[str], list[str]]:
    """20 subjects with 15 rows each; the label is a property of the subject."""
    random = numpy.random.default_rng(0)
    centres, labels = random.normal(size=(20, 20)) * 2, random.permutation(numpy.arange(20) % 2)
    rows: list[list[object]] = [
        [*(centres[subject] + random.normal(size=20) * 0.5).round(4), f"c{labels[subject]}", f"s{subject}"]
        for subject in range(20)
        for _ in range(15)
    ]
    file = write(folder / "subjects.csv", [*(f"x{n}" for n in range(20)), "label", "subject"], rows)
    words = scratch(file, "target.folds=5", "target.numeric=[x*]")
    return [*words, "target.split_by=subject"], words


def contradictions(folder: Path) -> tuple[list[str], list[str]]:
    header, rows = noise(300, 20, 2, 0)
    words = scratch(write(folder / "torn.csv", header, rows + [[*row[:-1], f"c{1 - int(str(row[-1])[1:])}"] for row in rows]))
    return words, [*words, "target.duplicates=keep"]


def speakers(folder: Path) -> tuple[list[str], list[str]]:
    words = ["source=none", "transfer=scratch", "target=fsdd", "target.shots=null", "encoder/audio=audio_cnn"]
    return [*words, "target.split_by=speaker"], words


def checkpoint(folder: Path) -> tuple[list[str], list[str]]:
    """Weights that have learned all of optdigits begin a run on optdigits with other splits."""
    first = [
        "source=none", "transfer=scratch", "target=optdigits", "target.shots=null", "encoder/image=conv4", "experiment=first",
        "seed=0", "budget.transfer.steps=400",
    ]  # fmt: skip
    train(folder, first)
    [file] = (folder / "outputs" / "first").rglob("weights.safetensors")
    return _begins(folder, file)


def chain(folder: Path) -> tuple[list[str], list[str]]:
    """The same through a second run, which learns MNIST."""
    checkpoint(folder)
    [file] = (folder / "outputs" / "first").rglob("weights.safetensors")
    second = [
        "source=none", "pretrain=checkpoint", f"pretrain.start.path={file.resolve()}", "target=mnist5k", "target.shots=20",
        "transfer=linear_probe", "encoder/image=conv4", "experiment=second", "image.size=28",
    ]  # fmt: skip
    train(folder, second)
    [file] = (folder / "outputs" / "second").rglob("weights.safetensors")
    return _begins(folder, file)


def _begins(folder: Path, file: Path) -> tuple[list[str], list[str]]:
    bare = folder / "without_header.safetensors"
    save_file(load_file(file), bare)
    words = [
        "source=none", "pretrain=checkpoint", "target=optdigits", "target.shots=5", "seed=1", "encoder/image=conv4",
        "transfer=linear_probe",
    ]  # fmt: skip
    return [*words, f"pretrain.start.path={file.resolve()}"], [*words, f"pretrain.start.path={bare.resolve()}"]


CASES: dict[str, tuple[str, Callable[[Path], tuple[list[str], list[str]]], str]] = {
    "checkpoint": ("weights that had learned optdigits, other splits", checkpoint, ""),
    "chain": ("the same through a second run on MNIST", chain, ""),
    "shuffled_table": ("the source is the target's table in another order", shuffled_table, ".33"),
    "four_copies": ("a table with each row four times", four_copies, ".33"),
    "text_copies": ("each text twice: capitals, commas, exclamation mark", text_copies, ".50"),
    "renamed_pictures": ("the source is the target's folder: other names, BMP for PNG", renamed_pictures, ".50"),
    "near_pictures": ("each picture a second time as JPEG of quality 60", near_pictures, ".50"),
    "owners": ("20 subjects with 15 rows, one fold of five", owners, ".50"),
    "contradictions": ("each input with both labels", contradictions, ".50"),
    "speakers": ("fsdd by recording instead of by speaker (labels are real)", speakers, ".10"),
}


def main(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    print("| planted | chance | accuracy | without the guard | what the run says |\n|---|---|---|---|---|")
    for name in names or CASES:
        planted, make, chance = CASES[name]
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        guarded, bare = make(place)
        (here, said), (there, _) = train(place, guarded), train(place, bare)
        shown = ["-" if each is None else f"{each:.3f}" for each in (here, there)]
        print(f"| {planted} | {chance} | {shown[0]} | {shown[1]} | {said.replace('|', '/')} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
