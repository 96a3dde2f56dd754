"""Folders of examples without a label, owners of files, and too little memory."""

import pytest
from PIL import Image
from toys.folders import PETS, read, tree
from toys.tasks import pixels

from xlearn.data.tasks import OPEN, TEST
from xlearn.data.tasks._image_folder import image_folder
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("name", ["unlabeled", "Unlabelled", "unlabeled_images"])
def test_unlabelled_files_beside_classes(tmp_path, name):
    found = read(tree(tmp_path / "x", *PETS, f"{name}/1.png", f"{name}/deeper/2.png"))
    assert found.classes == ("cat", "dog") and found.notes == {"unlabelled_rows": 2}
    labelled = {name for name, known in zip(found.names, found.labelled.tolist(), strict=True) if known}
    assert labelled == set(PETS)
    split = read(tree(tmp_path / "y", *(f"train/{each}" for each in PETS), *(f"test/{each}" for each in PETS),
                      f"train/{name}/1.png", f"test/{name}/1.png"))  # fmt: skip
    assert split.classes == ("cat", "dog")
    unknown = [mark for mark, known in zip(split.official.tolist(), split.labelled.tolist(), strict=True) if not known]
    assert sorted(unknown) == [OPEN, TEST]


def test_a_flat_folder_has_no_labels_and_needs_the_names_of_the_classes(tmp_path):
    root = tree(tmp_path / "x", "1.png", "2.png")
    with pytest.raises(Problem, match=r"2 images without class folders have no labels.*class_names=\[cat,dog\]"):
        read(root)
    found = read(root, class_names=["dog", "cat"])
    assert found.classes == ("cat", "dog") and found.labelled.tolist() == [False, False]
    assert read(tree(tmp_path / "y", "unlabeled/1.png"), class_names=["cat", "dog"]).labelled.tolist() == [False]
    assert found.label_space == read(tree(tmp_path / "z", *PETS)).label_space


def test_names_of_classes_are_all_there_are(tmp_path):
    root = tree(tmp_path / "x", *PETS)
    assert read(root, class_names=["dog", "cat", "bird"]).labels.tolist() == [1, 1, 2, 2]
    with pytest.raises(Problem, match="has the class folder 'dog'"):
        read(root, class_names=["cat", "dogs"])
    with pytest.raises(Problem, match="name two classes or more, each once"):
        read(root, class_names=["cat", "cat"])


def test_owners_by_folder_and_by_pattern(tmp_path):
    root = tree(tmp_path / "x", "cat/ann/1.png", "cat/bob/1.png", "dog/ann/a/1.png", "dog/cy/2.png")
    assert read(root, split_by=1).owner.tolist() == [0, 1, 0, 2]
    assert read(root, split_by=r"/(\d)\.png").owner.tolist() == [0, 0, 0, 1]
    assert read(root, split_by="ann|bob|cy").owner.tolist() == [0, 1, 0, 2]
    assert read(root).owner is None
    split = tree(tmp_path / "y", *(f"{split}/{name}/{who}/1.png" for split in ("train", "test") for name in ("cat", "dog")
                                   for who in ("ann", "bob")))  # fmt: skip
    assert read(split, split_by=1).owner.tolist() == [0, 1] * 4


@pytest.mark.parametrize(
    ("split_by", "message"),
    [
        (0, "counted from 1"),
        (2, r"3 of 4 files lie in fewer than 2 folder\(s\) below their class: cat/ann/1.png, cat/bob/1.png, dog/cy/2.png\."),
        ("ann", r"2 of 4 files do not match: cat/bob/1.png, dog/cy/2.png\. Rename"),
        ("(zed)?", "4 of 4 files do not match"),
        ("(", "no regular expression"),
    ],
)
def test_files_without_an_owner(tmp_path, split_by, message):
    root = tree(tmp_path / "x", "cat/ann/1.png", "cat/bob/1.png", "dog/ann/a/1.png", "dog/cy/2.png")
    with pytest.raises(Problem, match=message):
        read(root, split_by=split_by)


def test_too_little_memory_is_said_before_reading(tmp_path, monkeypatch):
    from xlearn.data.tasks import decoding
    from xlearn.runtime import memory

    root = tree(tmp_path / "x", *PETS)
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    with pytest.raises(Problem, match=r"4 pictures of 20000 x 20000 pixels need 4\.80 GB.*1\.00 GB are .*smaller size"):
        image_folder(folder=str(root), size=20_000)

    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(decoding, "shown", fails)
    for skip_bad in (False, True):
        with pytest.raises(Problem, match=r"cat/1\.png: there is not enough memory"):
            read(root, skip_bad=skip_bad)


def test_pictures_of_many_frames_are_counted(tmp_path):
    root = tree(tmp_path / "x", *PETS)
    frames = [Image.fromarray(pixels(seed)) for seed in (1, 2)]
    frames[0].save(root / "cat" / "3.gif", save_all=True, append_images=frames[1:])
    assert read(root).notes == {"animated": 1}
