"""The user's own images: one folder per class."""

import os

import numpy
import pytest
import torch
from PIL import Image
from toys.tasks import pixels

from xlearn.data.tasks import OPEN, TEST, VAL, decoding
from xlearn.data.tasks._image_folder import image_folder
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


def draw(file, seed=0, side=8, mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, side)).convert(mode).save(file)
    return file


def folders(root, *names, count=2):
    for position, name in enumerate(names):
        for number in range(count):
            draw(root / name / f"{number}.png", seed=10 * position + number)
    return root


def test_a_flat_folder(tmp_path):
    root = folders(tmp_path / "pets", "dog", "cat")
    found = image_folder(folder=str(root), size=8)
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1, 1] and found.official is None
    assert numpy.array_equal(found.inputs["image"][2].permute(1, 2, 0).numpy(), pixels(0))
    grey = image_folder(folder=str(root), size=8, channels=1)
    assert grey.inputs["image"].shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    ("names", "official"),
    [(["train", "test"], [TEST, OPEN]), (["train", "val", "test"], [TEST, OPEN, VAL]), (["Training", "valid"], [OPEN, VAL])],
)
def test_split_folders(tmp_path, names, official):
    root = folders(tmp_path / "pets", *(f"{split}/{name}" for split in names for name in ("dog", "cat")))
    found = image_folder(folder=str(root), size=8)
    assert found.classes == ("cat", "dog")
    assert sorted(zip(found.official.tolist(), found.labels.tolist(), strict=True)) == sorted(
        (mark, label) for mark in official for label in (0, 0, 1, 1)
    )
    for row, mark in enumerate(found.official.tolist()):
        split = next(name for name in names if decoding.SPLITS[name.lower()] == mark)
        name, number = found.classes[int(found.labels[row])], row % 2
        expected = numpy.asarray(Image.open(root / split / name / f"{number}.png"))
        assert numpy.array_equal(found.inputs["image"][row].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("names", [["train", "car"], ["test", "exam"]])
def test_a_class_may_be_called_like_a_split(tmp_path, names):
    found = image_folder(folder=str(folders(tmp_path / "x", *names)), size=8)
    assert found.classes == tuple(sorted(names)) and found.official is None
    assert found.notes["class_like_split"] == names[0]


@pytest.mark.parametrize("extra", [["extra/cat"], ["extra"]])
def test_splits_beside_something_else_are_not_mixed_up(tmp_path, extra):
    root = folders(tmp_path / "x", "train/cat", "train/dog", "test/cat", "test/dog", *extra)
    with pytest.raises(Problem, match="test, train look like splits, but beside them stand extra"):
        image_folder(folder=str(root))


def test_splits_without_one_for_training_are_told(tmp_path):
    with pytest.raises(Problem, match="none of them is for training"):
        image_folder(folder=str(folders(tmp_path / "x", "val/cat", "val/dog", "test/cat", "test/dog")))


def test_hidden_folders_other_files_and_deeper_folders(tmp_path):
    root = folders(tmp_path / "x", "cat", "dog", "dog/puppies", ".ipynb_checkpoints", "cat/.thumbnails")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "empty").mkdir()
    draw(root / "loose.png")
    found = image_folder(folder=str(root), size=8)
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_what_is_asked_for(tmp_path, mode, channels):
    ending = "tif" if mode == "CMYK" else "png"
    for name in ("a", "b"):
        draw(tmp_path / name / f"1.{ending}", mode=mode, side=20)
    found = image_folder(folder=str(tmp_path), size=10, channels=channels)
    with Image.open(tmp_path / "a" / f"1.{ending}") as opened:
        small = opened.convert("L" if channels == 1 else "RGB").resize((10, 10), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(numpy.array(small).reshape(10, 10, channels)).permute(2, 0, 1)
    assert torch.equal(found.inputs["image"][0], expected)


def test_palettes_with_partly_transparent_colours(tmp_path):
    for name in ("a", "b"):
        file = draw(tmp_path / "x" / name / "1.png", mode="P")
        with Image.open(file) as opened:
            opened.copy().save(file, transparency=bytes([0, 128] + [255] * 254))
    found = image_folder(folder=str(tmp_path / "x"), size=8, skip_bad=True)
    assert found.notes == {"bad_images": 0} and len(found.labels) == 2


def test_mixed_sizes(tmp_path):
    draw(tmp_path / "a" / "1.png", side=5)
    draw(tmp_path / "b" / "1.jpg", side=50)
    assert image_folder(folder=str(tmp_path), size=16).inputs["image"].shape == (2, 3, 16, 16)


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, ending):
    values = (numpy.arange(64, dtype=numpy.uint32).reshape(8, 8) * 1040).astype(numpy.uint16)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        if ending == "pgm":  # big-endian, by its own definition
            (tmp_path / name / "1.pgm").write_bytes(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
        else:
            Image.fromarray(values).save(tmp_path / name / f"1.{ending}")
    found = image_folder(folder=str(tmp_path), size=8, channels=1).inputs["image"][0, 0].numpy()
    assert numpy.abs(found - values / 257).max() <= 0.5


def test_floating_point_images_are_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels(channels=1).astype(numpy.float32)).save(tmp_path / name / "1.tif")
    with pytest.raises(Problem, match=r"1\.tif .*mode F"):
        image_folder(folder=str(tmp_path))


def damage(root):
    (root / "cat" / "empty.png").write_bytes(b"")
    whole = draw(root / "dog" / "cut.jpg", side=64).read_bytes()
    (root / "dog" / "cut.jpg").write_bytes(whole[: len(whole) // 2])


def test_damaged_files_are_named_or_counted(tmp_path):
    root = folders(tmp_path / "x", "cat", "dog")
    damage(root)
    with pytest.raises(Problem) as told:
        image_folder(folder=str(root))
    for word in (str(root / "cat" / "empty.png"), str(root / "dog" / "cut.jpg"), "2 image(s)", "skip_bad=true"):
        assert word in str(told.value)
    found = image_folder(folder=str(root), skip_bad=True)
    assert found.notes == {"bad_images": 2} and found.labels.tolist() == [0, 0, 1, 1]
    assert image_folder(folder=str(root), skip_bad=True).notes == {"bad_images": 2}  # from the cache, too


def test_nothing_but_damaged_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"x")
    with pytest.raises(Problem, match="none of its 2 images"):
        image_folder(folder=str(tmp_path), skip_bad=True)


def test_wrong_folders_are_told(tmp_path):
    with pytest.raises(Problem, match=r"folder=/nowhere/x: there is no such folder"):
        image_folder(folder="/nowhere/x")
    with pytest.raises(Problem, match="2 images in 1 class folders"):
        image_folder(folder=str(folders(tmp_path / "one", "cat")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(Problem, match="0 images in 0 class folders"):
        image_folder(folder=str(tmp_path / "empty"))


@pytest.mark.parametrize(("option", "word"), [({"channels": 2}, "channels=2"), ({"size": 0}, "size=0")])
def test_silly_options_are_told(tmp_path, option, word):
    with pytest.raises(Problem, match=word):
        image_folder(folder=str(folders(tmp_path, "cat", "dog")), **option)


def test_the_second_read_comes_from_the_cache_and_a_changed_file_is_noticed(tmp_path, monkeypatch):
    root = folders(tmp_path / "x", "cat", "dog")
    first = image_folder(folder=str(root), size=8)
    decode, calls = decoding._read, []
    monkeypatch.setattr(decoding, "_read", lambda *given: calls.append(1) or decode(*given))
    second = image_folder(folder=str(root), size=8)
    assert not calls
    assert torch.equal(first.inputs["image"], second.inputs["image"]) and torch.equal(first.labels, second.labels)
    draw(root / "cat" / "0.png", seed=99)
    stamp = os.stat(root / "cat" / "0.png").st_mtime_ns + 10**9
    os.utime(root / "cat" / "0.png", ns=(stamp, stamp))
    third = image_folder(folder=str(root), size=8)
    assert calls == [1] and not torch.equal(first.inputs["image"][0], third.inputs["image"][0])
    image_folder(folder=str(root), size=9)
    (root / "dog").rename(root / "wolf")
    assert image_folder(folder=str(root), size=8).classes == ("cat", "wolf")
    assert calls == [1, 1, 1]


def test_the_same_files_in_another_size_have_the_same_origin(tmp_path, monkeypatch):
    root = folders(tmp_path / "x", "train/cat", "train/dog", "test/cat", "test/dog")
    (root / "test" / "dog" / "0.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    small, large = image_folder(folder="x", size=4, skip_bad=True), image_folder(folder=str(root), size=8, skip_bad=True)
    assert small.origin["image"][0] == large.origin["image"][0]
    assert small.origin["image"][1].tolist() == large.origin["image"][1].tolist() == [0, 1, 3, 4, 5, 6, 7]
    other = image_folder(folder=str(folders(tmp_path / "y", "cat", "dog")), size=8)
    assert other.origin["image"][0] != large.origin["image"][0]
