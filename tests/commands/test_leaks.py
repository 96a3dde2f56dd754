"""`xlearn check --leaks`, and what summaries say of copies and of unknown weights."""

import numpy
import pytest
from PIL import Image
from toys.runs import only

from xlearn.commands.check import main as check
from xlearn.commands.train import main

pytestmark = pytest.mark.usefixtures("own_cache")
SMALL = ["encoder/image=mlp", "encoder.image.widths=[4]", "budget=quick", "threads=1"]


def picture(seed):
    drawn = numpy.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
    return Image.fromarray(drawn).resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def words(tmp_path):
    """Two folders: 40 pictures, four of which stand there twice, eight as a JPEG too; and the same ones, renamed, as BMP."""
    for number in range(40):
        label = "ab"[number % 2]
        for folder in ("one", "two"):
            (tmp_path / folder / label).mkdir(parents=True, exist_ok=True)
        drawn = picture(number)
        drawn.save(tmp_path / "one" / label / f"{number:02}.png")
        if number < 4:
            drawn.save(tmp_path / "one" / label / f"copy{number}.png")
        if 20 <= number < 28:
            drawn.save(tmp_path / "one" / label / f"near{number}.jpg", quality=60)
        drawn.save(tmp_path / "two" / label / f"other{39 - number:02}.bmp")
    here, there = (tmp_path / name for name in ("one", "two"))
    return [
        "source=image_folder", f"source.image_folder.folder={there}", "target=image_folder", f"target.folder={here}", *SMALL,
    ]  # fmt: skip


def test_copies_are_listed_with_counts_and_names(words, capsys):
    assert check(["--leaks", *words]) == 0
    out = capsys.readouterr().out
    assert "4 examples are copies of others: kept on one side of every split (duplicates=together)" in out
    assert "a/00.png = a/copy0.png" in out
    assert "40 examples are in target (image_folder) too" in out and "none of them is learned from here" in out
    assert "pairs of pictures are on two sides of the split, and look alike" in out and "near2" in out
    assert out.endswith("no leak was found\n")


def test_copies_that_are_kept_are_leaks(words, capsys):
    keep = ["target.duplicates=keep", "source.image_folder.duplicates=keep"]
    assert check(["--leaks", *words, *keep]) == 1
    out = capsys.readouterr().out
    assert "LEAK: 40 examples are in target (image_folder) too" in out and "learned from here and measured there" in out


def test_wrong_words_are_told_before_anything_is_compared(words, capsys):
    assert check(["--leaks", *words, "target.duplicates=merge"]) == 1
    assert "target.duplicates=merge: give together, drop or keep." in capsys.readouterr().err
    assert check(["--leak", *words]) == 1
    assert "Did you mean '--leaks'" in capsys.readouterr().err


def test_a_run_says_what_it_has_found(words, capsys):
    assert main([*words, "target.shots=3"]) == 0
    out = capsys.readouterr().out
    assert "4 copies of other examples, each on their side of every split (duplicates=together)" in out
    assert "side of the split where an earlier task of the run has them" in out
    assert "pairs of pictures on two sides of the split look alike" in out and "no split_by: examples of one person" in out
    _, result = only()
    assert result["data"]["target"]["copies_together"] == 4 and "unknown" not in result
