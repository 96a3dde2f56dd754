"""Images through `datasets`: saved sets, Parquet, and a hub that is away."""

import os
import time

import datasets
import numpy
import pytest
import torch
from PIL import Image
from toys.tasks import pixels

from xlearn.data.tasks import OPEN, TEST, hub
from xlearn.data.tasks._hf_images import hf_images
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


def table(count=6, names=("cat", "dog"), labels=None, kind=None, seed=0):
    given = labels or [number % len(names) for number in range(count)]
    features = datasets.Features({"image": datasets.Image(), "label": kind or datasets.ClassLabel(names=list(names))})
    content = {"image": [Image.fromarray(pixels(seed + number)) for number in range(len(given))], "label": given}
    return datasets.Dataset.from_dict(content, features=features)


def test_a_saved_set(tmp_path):
    table().save_to_disk(tmp_path / "set")
    found = hf_images(name=str(tmp_path / "set"), size=8)
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 1] * 3 and found.official is None
    for number in range(6):
        assert numpy.array_equal(found.inputs["image"][number].permute(1, 2, 0).numpy(), pixels(number))


def test_saved_splits(tmp_path):
    datasets.DatasetDict({"train": table(6), "test": table(4, seed=50)}).save_to_disk(tmp_path / "set")
    found = hf_images(name=str(tmp_path / "set"), size=8)
    assert found.official.tolist() == [OPEN] * 6 + [TEST] * 4
    assert numpy.array_equal(found.inputs["image"][6].permute(1, 2, 0).numpy(), pixels(50))


@pytest.mark.parametrize("split", ["eval", "holdout", "test_clean"])
def test_a_split_of_an_unknown_name_does_not_become_training(tmp_path, split):
    datasets.DatasetDict({"train": table(6), split: table(4)}).save_to_disk(tmp_path / "set")
    with pytest.raises(Problem, match=f"its split '{split}' could be for training or for testing. Known: train,.* test"):
        hf_images(name=str(tmp_path / "set"), size=8)
    datasets.DatasetDict({split: table(4)}).save_to_disk(tmp_path / "alone")
    assert hf_images(name=str(tmp_path / "alone"), size=8).official is None
    for name in ("train-0.parquet", f"{split}-0.parquet"):
        table(6).to_parquet(tmp_path / name)
    with pytest.raises(Problem, match=f"{split}-0.parquet has no split in its name, but other files have"):
        hf_images(name=str(tmp_path), size=8)


@pytest.mark.parametrize(
    ("labels", "kind", "classes", "positions"),
    [
        ([10, 2, 10, 2, 1, 1], "int64", ("1", "2", "10"), [2, 1, 2, 1, 0, 0]),
        (["b", "a", "b", "a"], "string", ("a", "b"), [1, 0, 1, 0]),
    ],
)
def test_parquet_with_plain_labels(tmp_path, labels, kind, classes, positions):
    file = tmp_path / "all.parquet"
    table(labels=labels, kind=datasets.Value(kind)).to_parquet(file)
    for name in (file, tmp_path):
        found = hf_images(name=str(name), size=8)
        assert found.classes == classes and found.labels.tolist() == positions and found.official is None


@pytest.mark.parametrize("test_file", ["test-00000-of-00001.parquet", "test/0000.parquet"])
def test_parquet_files_and_folders_named_by_split(tmp_path, test_file):
    root = tmp_path / "pets"
    (root / test_file).parent.mkdir(parents=True, exist_ok=True)
    table(6).to_parquet(root / "train-00000-of-00002.parquet")
    table(2, seed=30).to_parquet(root / "train-00001-of-00002.parquet")
    table(4, seed=50).to_parquet(root / test_file)
    found = hf_images(name=str(root), size=8)
    assert sorted(found.official.tolist()) == [OPEN] * 8 + [TEST] * 4
    first = found.inputs["image"][found.official == TEST][0]
    assert numpy.array_equal(first.permute(1, 2, 0).numpy(), pixels(50))


def test_changed_parquet_is_noticed(tmp_path):
    table(6).to_parquet(tmp_path / "a.parquet")
    first = hf_images(name=str(tmp_path), size=8)
    table(6, seed=70).to_parquet(tmp_path / "a.parquet")
    stamp = os.stat(tmp_path / "a.parquet").st_mtime_ns + 10**9
    os.utime(tmp_path / "a.parquet", ns=(stamp, stamp))
    assert not torch.equal(first.inputs["image"], hf_images(name=str(tmp_path), size=8).inputs["image"])


def test_wrong_columns_name_the_nearest(tmp_path):
    table().save_to_disk(tmp_path / "set")
    with pytest.raises(Problem, match="label=lable.*no such column.*'label'"):
        hf_images(name=str(tmp_path / "set"), label="lable")
    with pytest.raises(Problem, match="image=img.*no such column"):
        hf_images(name=str(tmp_path / "set"), image="img")
    with pytest.raises(Problem, match="image=label.*which is no image"):
        hf_images(name=str(tmp_path / "set"), image="label", label="label")


def test_rows_without_label_or_image_are_told(tmp_path):
    table(labels=["a", None, "b"], kind=datasets.Value("string")).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(Problem, match="label None"):
        hf_images(name=str(tmp_path / "none.parquet"))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    content = {"image": [Image.fromarray(pixels()), None, Image.fromarray(pixels())], "label": ["a", "a", "b"]}
    datasets.Dataset.from_dict(content, features=features).to_parquet(tmp_path / "hole.parquet")
    with pytest.raises(Problem, match="row 1 of split train"):
        hf_images(name=str(tmp_path / "hole.parquet"))
    assert hf_images(name=str(tmp_path / "hole.parquet"), skip_bad=True).notes == {"bad_images": 1}


@pytest.mark.parametrize(
    ("labels", "kind"), [([[0, 1], [1]], datasets.List(datasets.Value("int64"))), ([0.5, 1.5], datasets.Value("float64"))]
)
def test_label_columns_that_are_no_classes_are_told(tmp_path, labels, kind):
    table(labels=labels, kind=kind).to_parquet(tmp_path / "many.parquet")
    with pytest.raises(Problem, match="label=label.*whole numbers or strings"):
        hf_images(name=str(tmp_path / "many.parquet"))


def test_damaged_and_missing_parquet_are_told(tmp_path):
    with pytest.raises(Problem, match="no .parquet file below it.*image_folder"):
        hf_images(name=str(tmp_path))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Problem, match="bad.parquet: its Parquet cannot be read"):
        hf_images(name=str(tmp_path / "bad.parquet"))


def test_a_hub_name_without_network_tells_the_way_round(monkeypatch):
    def away(*arguments, **options):
        raise ConnectionError("Couldn't reach 'someone/pets' on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", away)
    monkeypatch.setattr(hub, "ask_hub", lambda url: None)
    with pytest.raises(Problem) as told:
        hf_images(name="someone/pets")
    for word in ("name=someone/pets", "Couldn't reach", "save_to_disk", "no such file or folder"):
        assert word in str(told.value)


def test_a_machine_without_network_asks_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path))
    asked = []

    def away(url):
        asked.append(url)
        raise OSError("no route to the hub")

    monkeypatch.setattr(hub, "ask_hub", away)
    before = datasets.config.HF_HUB_OFFLINE
    start = time.monotonic()
    with pytest.raises(Problem, match="name=someone/pets.*no route to the hub.*save_to_disk"):
        hf_images(name="someone/pets")
    assert time.monotonic() - start < 3 and len(asked) == 1 and "datasets/someone/pets" in asked[0]
    assert before == datasets.config.HF_HUB_OFFLINE


def test_two_columns_of_labels_with_the_same_words_are_told_apart(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "wild": datasets.Value("string"), "big": datasets.Value("string")})
    content = {"image": [Image.fromarray(pixels(row)) for row in range(4)], "wild": list("ynyn"), "big": list("yynn")}
    datasets.Dataset.from_dict(content, features=features).save_to_disk(tmp_path / "set")
    wild, big = (hf_images(name=str(tmp_path / "set"), label=label, size=8) for label in ("wild", "big"))
    assert (wild.labels.tolist(), big.labels.tolist()) == ([1, 0, 1, 0], [1, 1, 0, 0])
    assert wild.origin["image"][0] == big.origin["image"][0]
    assert wild.origin["image"][1].tolist() == big.origin["image"][1].tolist() == [0, 1, 2, 3]


def test_rows_of_one_owner_and_what_is_known_of_the_pictures(tmp_path):
    whole = table(labels=["a", "b", "a", "b"], kind=datasets.Value("string"))
    whole.add_column("person", ["ann", "bob", None, "ann"]).to_parquet(tmp_path / "x.parquet")
    found = hf_images(name=str(tmp_path / "x.parquet"), split_by="person")
    assert found.owner.tolist() == [0, 1, 2, 0] and found.names[3] == "row 3 of split train"
    assert len(set(found.content["image"].tolist())) == 4 and found.near["image"].tolist() == [0] * 4
    with pytest.raises(Problem, match="split_by=persons.*no such column.*'person'"):
        hf_images(name=str(tmp_path / "x.parquet"), split_by="persons")
