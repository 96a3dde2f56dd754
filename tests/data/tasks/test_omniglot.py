"""Omniglot: what is in it, that strokes are bright, and that a drawing is the same one in both parts."""

import hashlib
import io
import zipfile
from functools import cache

import numpy
import pytest
import torch
from PIL import Image
from toys.tasks import image_format

from xlearn.commands.check import composed
from xlearn.data.leakage import need_disjoint
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import _omniglot as module
from xlearn.data.tasks._omniglot import ALPHABETS, omniglot
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import data_folders

HERE = all((data_folders()[0] / f"omniglot_{part}.zip").is_file() for part in ALPHABETS)
needs_omniglot = pytest.mark.skipif(not HERE, reason="$XLEARN_DATA holds no omniglot_small1.zip and omniglot_small2.zip")
TOY = {"Greek": 394, "Japanese_(katakana)": 605}


@cache
def whole(part):
    """Decoded once for all tests."""
    return omniglot(part=part)


def drawing(character, person):
    """Black on white: a bar whose place tells character and person."""
    pixels = numpy.full((105, 105), 255, dtype=numpy.uint8)
    pixels[20 * (character % 5) : 20 * (character % 5) + 20, 30 * person : 30 * person + 15] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(stream, "PNG")
    return pixels, stream.getvalue()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Two alphabets of two characters by two people in the place of `small2`."""
    file = tmp_path / "omniglot_small2.zip"
    with zipfile.ZipFile(file, "w") as made:
        for alphabet, first in TOY.items():
            for character in (1, 2):
                folder = f"images_background_small2/{alphabet}/character{character:02d}"
                made.writestr(f"{folder}/", b"")
                for person in (1, 2):
                    number = first + character - 1
                    made.writestr(f"{folder}/{number:04d}_{person:02d}.png", drawing(number, person)[1])
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path))
    monkeypatch.setitem(module.SHA256, "small2", hashlib.sha256(file.read_bytes()).hexdigest())
    return file


def test_strokes_are_bright_where_the_file_is_black(archive):
    found = omniglot(part="small2", size=None)
    expected = [drawing(first + character, person)[0] for first in TOY.values() for character in (0, 1) for person in (1, 2)]
    assert torch.equal(found.inputs["image"][:, 0], torch.from_numpy(255 - numpy.stack(expected)))
    assert found.inputs["image"].shape == (8, 1, 105, 105) and found.inputs["image"].dtype == torch.uint8


def test_a_smaller_image_keeps_the_mean_brightness(archive):
    large, small = (omniglot(part="small2", size=size).inputs["image"].float() for size in (None, 21))
    assert small.shape == (8, 1, 21, 21)
    # With antialiasing no stroke falls between the pixels.
    assert torch.allclose(small.mean((1, 2, 3)), large.mean((1, 2, 3)), atol=1)
    assert not torch.equal(small.unique(), torch.tensor([0.0, 255.0]))


def test_classes_and_numbers_follow_from_the_files_names(archive):
    found = omniglot(part="small2")
    alphabets = ("Greek", "Japanese_katakana")
    assert found.classes == tuple(f"{name}/character{character}" for name in alphabets for character in ("01", "02"))
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and found.space == "omniglot" and found.official is None
    name, numbers = found.origin["image"]
    # Twenty people drew each of the characters before.
    assert name == "omniglot" and numbers.tolist() == [7860, 7861, 7880, 7881, 12080, 12081, 12100, 12101]


@pytest.mark.parametrize(
    "options", [{"alphabets": ["Japanese_katakana"]}, {"without": ["Greek", "Latin", "Sanskrit", "Tagalog"]}]
)
def test_chosen_alphabets_are_those_of_the_whole(archive, options):
    every, found = omniglot(part="small2"), omniglot(part="small2", **options)
    assert torch.equal(found.inputs["image"], every.inputs["image"][4:]) and found.labels.tolist() == [0, 0, 1, 1]
    assert found.classes == every.classes[2:] and torch.equal(found.origin["image"][1], every.origin["image"][1][4:])
    assert found.notes == {"alphabets": ["Japanese_katakana"]}


def test_turned_characters_are_classes_of_the_same_drawings(archive):
    plain, found = omniglot(part="small2"), omniglot(part="small2", rotations=True)
    assert len(found.labels) == 32 and torch.bincount(found.labels).tolist() == [2] * 16
    for turn, suffix in enumerate(("", "/90", "/180", "/270")):
        for label, name in enumerate(plain.classes):
            mine = found.labels == found.classes.index(name + suffix)
            expected = numpy.rot90(plain.inputs["image"][plain.labels == label].numpy(), turn, axes=(2, 3))
            assert numpy.array_equal(found.inputs["image"][mine].numpy(), expected)
            assert torch.equal(found.origin["image"][1][mine], plain.origin["image"][1][plain.labels == label])


def test_the_drawings_are_decoded_once(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    first = omniglot(part="small2", alphabets=["Greek"])
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(omniglot(part="small2", alphabets=["Greek"]).inputs["image"], first.inputs["image"])
    assert len(omniglot(part="small2").labels) == 8


def test_another_file_and_none_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path))
    with pytest.raises(Problem, match=r"omniglot_small1\.zip \(images_background_small1\.zip of .* is not here\. Put it into"):
        omniglot(part="small1")
    (tmp_path / "omniglot_small1.zip").write_bytes(b"another file")
    with pytest.raises(Problem, match="expected f38eb80f.*Replace it by the published archive"):
        omniglot(part="small1")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"alphabets": ["Grek"]}, "omniglot_small2.alphabets: there is no alphabet 'Grek'. Did you mean 'Greek'"),
        ({"without": ["Korean"]}, "omniglot_small2.without: there is no alphabet 'Korean'"),
        ({"alphabets": ["Greek"], "without": ["Greek"]}, "leave no alphabet. Known: Greek, Japanese_katakana"),
        ({"alphabets": []}, "leave no alphabet"),
        ({"size": 0}, "size=0: give 1 or more"),
    ],
)
def test_silly_options_are_told(options, told, archive):
    with pytest.raises(Problem, match=told):
        omniglot(part="small2", **options)


def test_alphabets_and_classes_can_be_given_on_the_command_line():
    classes = {part: [f"{name}/character01" for name in names] for part, names in ALPHABETS.items()}
    words = ["source=omniglot_small1", "target=omniglot_small2"]
    for where, part in (("source.omniglot_small1", "small1"), ("target", "small2")):
        words += [f"{where}.classes=[{','.join(classes[part])}]", f"{where}.alphabets=[{','.join(ALPHABETS[part])}]"]
    problems, config, _ = composed(words, [])
    assert problems == []
    for part, chosen in (("small1", config["source"]["omniglot_small1"]), ("small2", config["target"])):
        assert chosen["part"] == part and chosen["classes"] == classes[part] and chosen["alphabets"] == [*ALPHABETS[part]]


@needs_omniglot
@pytest.mark.parametrize(("part", "characters"), [("small1", 136), ("small2", 156)])
def test_twenty_drawings_of_every_character(part, characters):
    found = whole(part)
    assert found.inputs["image"].shape == (20 * characters, 1, 28, 28)
    assert torch.bincount(found.labels).tolist() == [20] * characters and len(set(found.classes)) == characters
    assert {name.partition("/")[0] for name in found.classes} == {*ALPHABETS[part]}
    # Lines on an empty page.
    assert 10 < float(found.inputs["image"].float().mean()) < 40


@needs_omniglot
def test_a_drawing_has_the_same_number_in_both_parts_and_another_than_every_other():
    first, second = whole("small1"), whole("small2")
    images = [dict(zip(each.origin["image"][1].tolist(), each.inputs["image"], strict=True)) for each in (first, second)]
    both = images[0].keys() & images[1].keys()
    assert len(images[0]) == 2720 and len(images[1]) == 3120
    assert len(both) == 20 * (24 + 26)  # Greek and Latin
    assert all(torch.equal(images[0][number], images[1][number]) for number in both)
    assert {first.classes[label] for label in first.labels.tolist()} & {*second.classes} == {
        name for name in first.classes if name.startswith(("Greek", "Latin"))
    }


@needs_omniglot
def test_learning_from_the_drawings_of_the_other_part_that_are_measured_is_refused():
    def task(part, alphabet, where):
        source = TaskSource(f"omniglot_{part}", where, lambda: omniglot(part=part, alphabets=alphabet), {"alphabets": alphabet},
                            TaskOptions())  # fmt: skip
        return prepare(source, image_format(1, 28, 28), 0)

    target = task("small2", ["Greek", "Tagalog"], "target")
    with pytest.raises(Problem, match="source omniglot_small1 and the target are made of the same data.*test examples"):
        need_disjoint([task("small1", ["Balinese", "Greek"], "source.omniglot_small1")], target)
    need_disjoint([task("small1", ["Balinese", "Korean"], "source.omniglot_small1")], target)
