"""What the places of files say: layouts, skipped files, names."""

import os
import re
import unicodedata

import pytest
from PIL import Image
from toys.folders import PETS, draw, read, tree
from toys.tasks import pixels

from xlearn.data.content import of_picture
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.data.tasks._image_folder import image_folder
from xlearn.data.tasks.split_names import split_of
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


def test_names_and_digests_of_the_whole_pictures(tmp_path):
    root = tree(tmp_path / "x", *PETS)
    draw(root / "cat" / "2.png", 7, 90)
    small, large = read(root), image_folder(folder=str(root), size=90)
    assert list(small.names) == list(PETS)
    assert small.content["image"].tolist() == large.content["image"].tolist()
    assert int(small.content["image"][1]) == of_picture(Image.fromarray(pixels(7, 90)))
    assert [bool(each) for each in small.near["image"]] == [False, True, False, False]


def test_skipped_files_are_counted_by_reason(tmp_path):
    root = tree(tmp_path / "x", *PETS, "stray.png", ".hidden.png", ".git/1.png", "__MACOSX/cat/1.png")
    (root / "cat" / "x.heic").write_bytes(b"x")
    (root / "cat" / "y.HEIC").write_bytes(b"x")
    (root / "cat" / "none").write_bytes(b"x")
    (root / "dog" / "broken.png").symlink_to(root / "nothing.png")
    (root / "empty").mkdir()
    os.mkfifo(root / "dog" / "pipe.png")
    (root / "README").write_text("hello")
    found = read(root)
    assert found.classes == ("cat", "dog") and len(found.labels) == 4
    assert found.notes["skipped"] == {
        "beside class folders": 1, "broken link": 1, "empty folder": 1, "ending .heic": 2, "hidden": 3, "no ending": 2,
        "no regular file": 1,
    }  # fmt: skip


def test_links_to_folders_are_followed_once(tmp_path):
    root = tree(tmp_path / "x", "cat/1.png", "cat/2.png")
    tree(tmp_path / "elsewhere", "dog/1.png")
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (root / "dog" / "above").symlink_to(root)
    found = read(root)
    assert found.classes == ("cat", "dog") and found.notes["skipped"] == {"link to a folder that is read already": 1}


@pytest.mark.parametrize("splits", [("",), ("train/", "test/")])
def test_a_class_of_which_nothing_can_be_read_does_not_vanish_silently(tmp_path, splits):
    root = tree(tmp_path / "x", *(f"{split}{name}" for split in splits for name in PETS))
    for number in range(3):
        (root / splits[0] / "bird" / f"{number}.m4a").parent.mkdir(exist_ok=True)
        (root / splits[0] / "bird" / f"{number}.m4a").write_bytes(b"x")
    with pytest.raises(Problem, match=rf"no file of 1 class folder\(s\).*skip_bad=true.*\n  {splits[0]}bird: ending .m4a 3"):
        read(root)
    found = read(root, skip_bad=True)
    assert found.classes == ("cat", "dog") and found.notes["classes_left_out"] == [f"{splits[0]}bird"]


def test_a_class_of_damaged_files_is_left_out_by_name(tmp_path):
    root = tree(tmp_path / "x", *PETS)
    (root / "ape").mkdir()
    (root / "ape" / "1.png").write_bytes(b"")
    found = read(root, skip_bad=True)
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1, 1]
    assert found.notes["classes_left_out"] == ["ape"] and found.notes["bad_images"] == 1


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.png", "test/1.png"],
        ["Train/1.png", "Valid/1.png", "TEST/1.png"],
        ["train_images/1.png", "test_images/1.png"],
        ["train/1.png", "test/1.png", "cat/1.png"],
        ["fold1/1.png", "fold2/1.png"],
        ["cat/train/1.png", "cat/test/1.png", "dog/1.png"],
        ["cat/val/1.png", "dog/test/1.png"],
        ["train/cat/1.png", "train/dog/1.png", "test/1.png"],
    ],
)
def test_what_looks_like_splits_is_never_a_class(tmp_path, names):
    with pytest.raises(Problem, match=r"look like .*Expected .*<class>/"):
        read(tree(tmp_path / "x", *names))


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Train", "Val", "TEST"), ("train_images", "valid_images", "test_images"), ("1_train", "2_val", "3_test"),
     ("trainset", "val2017", "TestData")],
)  # fmt: skip
@pytest.mark.parametrize("below", [False, True])
def test_splits_of_other_names_above_and_below_the_classes(tmp_path, train, val, test, below):
    for seed, (split, name) in enumerate((split, name) for split in (train, val, test) for name in ("cat", "dog")):
        draw(tmp_path / "x" / (f"{name}/{split}" if below else f"{split}/{name}") / "1.png", seed)
    found = read(tmp_path / "x")
    assert found.classes == ("cat", "dog")
    by_row = dict(zip(found.names, found.official.tolist(), strict=True))
    wanted = {train: OPEN, val: VAL, test: TEST}
    assert all(mark == wanted[name.split("/")[1 if below else 0]] for name, mark in by_row.items())


def test_words_that_are_no_splits():
    assert [split_of(name) for name in ("steam train", "test_tube", "devil", "trained", "cat")] == [None] * 5


def test_folders_of_one_name_in_other_characters_are_one_class(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    tree(tmp_path / "x", f"{composed}/1.png", "dog/1.png")
    tree(tmp_path / "y", f"{decomposed}/1.png", "dog/1.png")
    tree(tmp_path / "z", f"{composed}/1.png", f"{decomposed}/2.png", "dog/1.png")
    assert read(tmp_path / "x").classes == read(tmp_path / "y").classes == read(tmp_path / "z").classes == (composed, "dog")
    assert "composed_names" not in read(tmp_path / "x").notes
    assert read(tmp_path / "y").notes == {"composed_names": [composed]}
    assert read(tmp_path / "z").notes == {"composed_names": [composed], "merged_folders": [composed]}


def test_names_that_differ_in_case_or_space_are_noted(tmp_path):
    found = read(tree(tmp_path / "x", "cat/1.png", "Cat/1.png", " cat/1.png", "dog/1.png"))
    assert len(found.classes) == 4 and found.notes["label_variants"] == ["' cat' = 'Cat' = 'cat'"]


def test_names_that_are_no_utf8_and_odd_ones(tmp_path):
    root = tree(tmp_path / "a b [c]", "dog/1 2 [3].png", "x=1,y{}/ü.png")
    odd = os.path.join(os.fsencode(root), b"caf\xe9")
    os.mkdir(odd)
    os.rename(draw(root / "dog" / "2.png"), os.path.join(odd, b"\xff.png"))
    found = read(root)
    assert found.classes == ("caf\\xe9", "dog", "x=1,y{}") and "caf\\xe9/\\xff.png" in found.names
    assert all(name.encode() for name in (*found.classes, *found.names))


@pytest.mark.parametrize("folder", ["a\0b", "~nosuchuser/x", "x" * 5000, "/" + "y/" * 3000])
def test_paths_that_are_none(folder):
    with pytest.raises(Problem, match="this is no path|no such folder") as told:
        image_folder(folder=folder)
    assert len(str(told.value)) < 600


def test_a_missing_folder_names_few_neighbours(tmp_path):
    tree(tmp_path / "data", *(f"set{number}/a/1.png" for number in range(30)), "pets/a/1.png")
    with pytest.raises(Problem, match=r"nearest folder that exists is .*/data, which holds the folders pets\.") as told:
        image_folder(folder=str(tmp_path / "data" / "pet" / "deep"))
    assert "set1" not in str(told.value)
    with pytest.raises(Problem) as told:
        image_folder(folder=str(tmp_path / "data" / "zzz"))
    assert str(told.value).count("set") == 7
    with pytest.raises(Problem, match=r"folder=/nope: there is no such folder\. .* Its nearest folder that exists is /\.$"):
        image_folder(folder="/nope")
    with pytest.raises(Problem, match="this is a file"):
        image_folder(folder=str(tmp_path / "data" / "pets" / "a" / "1.png"))


def test_a_folder_around_the_right_one(tmp_path):
    with pytest.raises(Problem, match=re.escape(f"Is {tmp_path / 'x'}/pets the folder that you mean?")):
        read(tree(tmp_path / "x", *(f"pets/{name}" for name in PETS)))
