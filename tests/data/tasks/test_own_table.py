"""The user's own table: every format, every modality, what is missing."""

from pathlib import Path

import datasets
import numpy
import pytest
import torch
from PIL import Image
from toys.files import write_picture, write_sound, write_table
from toys.tasks import pixels

from xlearn.data.modalities.tokenizer import joined
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.data.tasks._own_table import own_table

pytestmark = pytest.mark.usefixtures("own_cache")

ROWS = [
    {"title": "A, b", "body": "good\nfilm", "age": 1.5, "weight": 3, "kind": "yes"},
    {"title": "Größe", "body": "", "age": None, "weight": 4, "kind": "no"},
    {"title": "", "body": "bad", "age": -2.0, "weight": 5, "kind": "no"},
]
FORMATS = ("csv", "tsv", "jsonl", "parquet", "saved")


def found_in(file):
    return "split train" if file.endswith("saved") else Path(file).name


@pytest.mark.parametrize("ending", FORMATS)
def test_texts_and_numbers_of_every_format(tmp_path, ending):
    file = write_table(tmp_path, ROWS, ending)
    found = own_table(file=file, label="kind", text=["title", "body"], numeric=["weight", "age"])
    assert found.classes == ("no", "yes") and found.labels.tolist() == [1, 0, 0] and found.space == "labels"
    assert [joined(text) for text in found.inputs["text"]] == ["A, b good\nfilm", "Größe", "bad"]
    assert found.columns == ("weight", "age") and found.names[1] == f"row 2 of {found_in(file)}"
    values = found.inputs["tabular"]
    assert values.dtype == torch.float64 and values.nan_to_num(99).tolist() == [[3, 1.5], [4, 99], [5, -2]]
    assert found.official is None and found.present == {} and found.notes == {}


@pytest.mark.parametrize("ending", FORMATS)
def test_numbers_as_labels_stand_by_size_and_are_the_same_in_every_format(tmp_path, ending):
    file = write_table(tmp_path, [{"text": "x", "label": each} for each in (10, 2, 10, 1)], ending)
    found = own_table(file=file, text="text")
    assert found.classes == ("1", "2", "10") and found.labels.tolist() == [2, 1, 2, 0]


def test_labels_that_pandas_wrote_as_floats_and_labels_with_leading_zeros(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,2.0\ny,10.0\n")
    assert own_table(file=str(tmp_path / "a.csv"), text="text").classes == ("2", "10")
    (tmp_path / "b.csv").write_text("text,label\nx,007\ny,08\n")
    assert own_table(file=str(tmp_path / "b.csv"), text="text").classes == ("007", "08")


def test_na_is_a_word_among_words_and_no_number_among_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,n\nNA,NA,NA\nnull,None,1e3\n")
    found = own_table(file=str(tmp_path / "a.csv"), text="text", numeric=["n"], missing_labels="keep")
    assert found.classes == ("NA", "None") and found.inputs["text"] == ["NA", "null"]
    assert found.inputs["tabular"].nan_to_num(-1).flatten().tolist() == [-1, 1000] and found.present["tabular"].tolist() == [
        False,
        True,
    ]


def test_images_and_sounds_by_paths_beside_the_file_and_what_rows_lack(tmp_path):
    rows = [
        {"picture": write_picture(tmp_path, "1.png", 1), "sound": write_sound(tmp_path, "1.wav"), "words": "one", "label": "a"},
        {"picture": "", "sound": write_sound(tmp_path, "2.wav", 400), "words": " ", "label": "b"},
        {"picture": str(tmp_path / write_picture(tmp_path, "3.png", 3)), "sound": "", "words": "three", "label": "b"},
    ]
    file = write_table(tmp_path, rows)
    found = own_table(file=file, image="picture", audio="sound", text="words", size=8)
    images, audio = found.inputs["image"], found.inputs["audio"]
    assert images.shape == (3, 3, 8, 8) and not images[1].any()
    for row, seed in ((0, 1), (2, 3)):
        assert numpy.array_equal(images[row].permute(1, 2, 0).numpy(), pixels(seed))
    assert audio.lengths.tolist() == [800, 400, 0] and found.rate == 8000
    assert {name: there.tolist() for name, there in found.present.items()} == {
        "image": [True, False, True], "audio": [True, True, False], "text": [True, False, True],
    }  # fmt: skip
    assert found.notes["missing"] == {"image": 1, "audio": 1, "text": 1}
    assert own_table(file=file, audio="sound", text="words", rate=4000).rate == 4000
    # The second time they come from the cache.
    again = own_table(file=file, image="picture", audio="sound", text="words", size=8)
    assert torch.equal(again.inputs["image"], images) and torch.equal(again.inputs["audio"].values, audio.values)


def test_a_changed_image_is_noticed(tmp_path):
    rows = [{"image": write_picture(tmp_path, f"{each}.png", each), "label": each} for each in (0, 1)]
    file = write_table(tmp_path, rows)
    first = own_table(file=file, image="image", size=8).inputs["image"]
    Image.fromarray(pixels(9)).save(tmp_path / "1.png", compress_level=0)
    second = own_table(file=file, image="image", size=8).inputs["image"]
    assert torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])


@pytest.mark.parametrize("kept_as", ["parquet", "saved"])
def test_images_and_class_names_as_datasets_keeps_them(tmp_path, kept_as):
    features = datasets.Features(
        {"image": datasets.Image(), "text": datasets.Value("string"), "label": datasets.ClassLabel(names=["dog", "cat"])}
    )
    content = {
        "image": [Image.fromarray(pixels(0)), None, Image.fromarray(pixels(2))],
        "text": ["x", "y", "z"],
        "label": [0, 1, 1],
    }
    given = datasets.Dataset.from_dict(content, features=features)
    file = tmp_path / f"set.{kept_as}"
    given.to_parquet(file) if kept_as == "parquet" else given.save_to_disk(file)
    found = own_table(file=str(file), image="image", text="text", size=8)
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [1, 0, 0]
    assert found.present["image"].tolist() == [True, False, True]
    assert numpy.array_equal(found.inputs["image"][2].permute(1, 2, 0).numpy(), pixels(2))


def test_splits_by_a_column_by_names_of_files_and_of_a_saved_set(tmp_path):
    rows = [{"text": str(n), "label": n % 2, "part": part} for n, part in enumerate(("Train", "dev", "test", "train"))]
    found = own_table(file=write_table(tmp_path, rows), text="text", split="part")
    assert found.official.tolist() == [OPEN, VAL, TEST, OPEN]
    write_table(tmp_path / "parts", rows[:2], name="train")
    write_table(tmp_path / "parts", rows[2:], name="test")
    found = own_table(file=str(tmp_path / "parts"), text="text")
    assert found.inputs["text"] == ["2", "3", "0", "1"] and found.official.tolist() == [TEST, TEST, OPEN, OPEN]
    parts = {name: datasets.Dataset.from_list(some) for name, some in (("train", rows[:2]), ("validation", rows[2:]))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    assert own_table(file=str(tmp_path / "set"), text="text").official.tolist() == [OPEN, OPEN, VAL, VAL]


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    good = {"i": write_picture(tmp_path, "1.png", 1), "a": write_sound(tmp_path, "1.wav"), "t": "x", "n": "1", "label": "b"}
    rows = [
        good, {**good, "i": "bad.png"}, {**good, "a": "bad.wav"}, {**good, "i": "away.png"}, {**good, "n": "many"},
        {**good, "label": ""}, {**good, "label": "alone", "i": "bad.png"}, dict.fromkeys("iatn", "") | {"label": "a"},
        {**good, "label": "c"},
    ]  # fmt: skip
    found = own_table(file=write_table(tmp_path, rows), image="i", audio="a", text="t", numeric=["n"], size=8, skip_bad=True)
    assert found.notes == {"bad_rows": 6, "unlabelled_rows": 1} and found.classes == ("b", "c")
    assert found.labels.tolist() == [0, 0, 1] and found.labelled.tolist() == [True, False, True]
    assert found.names == ["row 1 of table.csv", "row 6 of table.csv", "row 9 of table.csv"]
    assert len(found.inputs["image"]) == len(found.inputs["audio"]) == len(found.inputs["text"]) == 3
    assert found.inputs["audio"].lengths.tolist() == [800, 800, 800] and found.present == {}


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_rows_by_other_columns_have_the_same_origin(tmp_path, ending):
    rows = [*ROWS, {"title": "x", "body": "y", "age": None, "weight": None, "kind": "yes"}]
    file = write_table(tmp_path, rows, ending)
    texts = own_table(file=file, label="kind", text="title", skip_bad=True)
    values = own_table(file=file, label="kind", numeric=["age", "weight"], skip_bad=True)
    assert texts.origin["text"][0] == values.origin["tabular"][0]
    assert texts.origin["text"][1].tolist() == [0, 1, 3] and values.origin["tabular"][1].tolist() == [0, 1, 2]
    if ending != "saved":
        copied = write_table(tmp_path / "copy", rows, ending)
        assert own_table(file=copied, label="kind", text="title", skip_bad=True).origin["text"][0] == texts.origin["text"][0]


def test_pictures_and_sounds_of_a_table_are_known_as_a_whole(tmp_path):
    from xlearn.data.content import of_picture

    image = Image.fromarray(pixels(1, 70))
    exif = image.getexif()
    exif[0x0112] = 3
    image.save(tmp_path / "turned.png", exif=exif)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    write_sound(tmp_path, "1.wav")
    rows = [
        {"picture": "turned.png", "sound": "1.wav", "label": "a"},
        {"picture": "", "sound": "1.wav", "label": "b"},
        {"picture": "bad.png", "sound": "1.wav", "label": "b"},
        {"picture": "clear.png", "sound": "", "label": "b"},
    ]
    file = write_table(tmp_path, rows, "csv")
    found = own_table(file=file, image="picture", audio="sound", size=8, background="red", skip_bad=True)
    assert found.present["image"].tolist() == [True, False, True] and found.notes["bad_rows"] == 1
    assert found.content["image"][0] == of_picture(image.transpose(Image.Transpose.ROTATE_180))
    assert [bool(each) for each in found.near["image"]] == [True, False, False]
    assert found.inputs["image"][1].max() == 0 and found.inputs["image"][2, :, 0, 0].tolist() == [255, 0, 0]
    assert found.content["audio"][0] == found.content["audio"][1] != 0 == found.content["audio"][2]
