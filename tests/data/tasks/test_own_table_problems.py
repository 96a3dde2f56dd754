"""The user's own table: everything that can be wrong is told with its place."""

import json

import pytest
from toys.files import write_picture, write_sound, write_table

from xlearn.data.tasks import hub
from xlearn.data.tasks._own_table import own_table
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")

ROWS = [{"text": "x", "age": 1, "label": "a"}, {"text": "y", "age": 2, "label": "b"}, {"text": "z", "age": 3, "label": "b"}]


def refused(match, **arguments):
    with pytest.raises(Problem, match=match) as told:
        own_table(**arguments)
    return str(told.value)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"label": "lable", "text": "text"}, "label=lable: .* has no such column. Did you mean 'label'"),
        ({"text": "txet"}, "text=txet: .* no such column. Did you mean 'text'"),
        ({"text": ["text", "body"]}, "text=body: .* no such column"),
        ({"image": "img"}, "image=img: .* no such column. Known: age, label, text"),
        ({"audio": "wave"}, "audio=wave: .* no such column"),
        ({"numeric": ["aeg"]}, "numeric=aeg: .* no such column. Did you mean 'age'"),
        ({"text": "text", "split": "spilt"}, "split=spilt: .* no such column"),
        ({}, "text, image, audio, numeric, category, boolean and date are all null"),
        ({"text": ["text", "label"]}, "text=label is the label too; the network would read its own answer"),
        ({"numeric": ["age", "age"]}, "numeric: age is named twice"),
        ({"numeric": ["text"]}, r"3 row\(s\) cannot be used(.|\n)*row 1 of table.csv: text holds 'x', which is no number"),
        ({"text": "text", "size": 0}, "size=0"),
        ({"text": "text", "channels": 2}, "channels=2"),
        ({"text": "text", "rate": 0}, "rate=0"),
        ({"text": "text", "split": "label"}, "split=label: row 1 of table.csv holds 'a', which is neither training"),
        ({"text": "text", "label": "text", "image": "label"}, "text=text is the label too"),
    ],
)
def test_wrong_words(tmp_path, words, match):
    refused(match, file=write_table(tmp_path, ROWS), **words)


def test_all_wrong_columns_at_once(tmp_path):
    told = refused("label=lable", file=write_table(tmp_path, ROWS), label="lable", text="txet")
    assert "text=txet" in told


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"text,label\n", "a.csv holds no row"),
        ("a.csv", b"text,label\nx,a\nx,y,b\n", r"line 3 has 3 values, and there are 2 columns \(separator=comma\). Quote"),
        ("a.csv", b"text,label\nx\n", "line 2 has 1 values"),
        ("a.csv", b"text,text\nx,a\n", "two columns are called 'text'"),
        ("a.csv", b"text;label\nx;a\nx;y;b\n", r"line 3 has 3 values, and there are 2 columns \(separator=semicolon\)"),
        ("a.csv", b'text,label\n"x,a\n', "line 2 cannot be read .*Fix its quotes"),
        ("a.csv", "text,label\nЮЖД,a\n".encode("cp1251"), r"line 2 is not UTF-8 \(byte 0xde\).*Set encoding.*windows-1251"),
        ("a.csv", "text,label\nx,a\n".encode("utf-16-le"), "UTF-16 without a byte-order mark. Set encoding=utf-16-le"),
        ("a.jsonl", b'{"text": "x", "label": "a"}\n{"text": \n', "line 2 is not JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1 is not an object"),
        ("a.parquet", b"PAR1 and then nothing", "a.parquet: its Parquet cannot be read"),
        ("a.xlsx", b"PK", ".xlsx is no table that xlearn reads. Known: .csv, .tsv"),
        ("a.csv", b"text,label\nx,\ny,NA\n", r"no row of .* has a label. Name the classes, as in class_names="),
        ("a.csv", b"text,label\nx,a\n,b\n", "row 2 of a.csv: nothing in text"),
        ("a.csv", b"text,label\nx,a\nz,a\n", r"has 1 class\(es\) in 2 rows. At least two"),
        ("a.csv", b"text,label\nx,0.5\nz,1\n", "row 1 of a.csv holds 0.5, which is no whole number"),
        ("a.jsonl", b'{"text": "x", "label": [1]}\n', r"row 1 of a.jsonl holds \[1\]. Name a column"),
        ("a.jsonl", b'{"text": ["x"], "label": 1}\n{"text": "x", "label": 2}\n', r"text holds \['x'\], which is no text"),
    ],
)
def test_wrong_files(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    refused(match, file=str(tmp_path / name), text="text")


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbftext,label\r\n"x\r\ny",a\r\n\r\nz,b\r\n')
    assert own_table(file=str(tmp_path / "a.csv"), text="text").inputs["text"] == ["x\r\ny", "z"]


def test_files_and_folders_that_are_not_there(tmp_path, monkeypatch):
    write_table(tmp_path, ROWS)
    refused("there is no such file. Did you mean 'table.csv'", file=str(tmp_path / "tabel.csv"), text="text")
    refused("has no folder 'no'", file=str(tmp_path / "no" / "table.csv"), text="text")
    (tmp_path / "empty").mkdir()
    refused("no table below this folder", file=str(tmp_path / "empty"), text="text")
    import datasets

    def away(*arguments, **options):
        raise ConnectionError("Couldn't reach 'someone/pets' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", away)
    monkeypatch.setattr(hub, "ask_hub", lambda url: None)
    refused("file=someone/pets: no such file or folder here.*Couldn't reach.*save_to_disk", file="someone/pets", text="text")


def test_folders_whose_files_do_not_fit(tmp_path):
    write_table(tmp_path, ROWS, name="train")
    write_table(tmp_path, ROWS, name="holdout")
    refused("holdout.csv has no split in its name, but other files have", file=str(tmp_path), text="text")
    (tmp_path / "holdout.csv").unlink()
    write_table(tmp_path, [{"text": "x", "label": "a"}], name="test")
    refused("numeric=age: test.csv has no such column, other files have", file=str(tmp_path), numeric=["age"])
    write_table(tmp_path, ROWS, "jsonl", name="test")
    refused("tables of several kinds", file=str(tmp_path), text="text")


def test_files_named_by_rows_that_are_not_there_or_damaged(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    good = {"i": write_picture(tmp_path, "1.png"), "a": write_sound(tmp_path, "1.wav"), "label": "a"}
    file = write_table(tmp_path, [good, {**good, "i": "away.png", "label": "b"}])
    refused(r"row 2 of table.csv: i: there is no file .*away.png", file=file, image="i")
    file = write_table(tmp_path, [good, {**good, "i": "bad.png", "a": "bad.wav", "label": "b"}])
    refused(r"1 image\(s\) cannot be read(.|\n)*bad.png", file=file, image="i")
    refused(r"1 sound\(s\) are damaged(.|\n)*bad.wav", file=file, audio="a")
    file = write_table(tmp_path, [{**good, "i": "", "n": 7}, {**good, "i": "", "label": "b"}])
    refused("image=i: that column of .* is empty in every row", file=file, image="i", audio="a")
    (tmp_path / "n.jsonl").write_text('{"i": 3, "label": "a"}\n{"i": "1.png", "label": "b"}\n')
    refused("row 1 of n.jsonl: i holds 3, which is no path", file=str(tmp_path / "n.jsonl"), image="i")
    for text in ("a review " * 60, "~nobody-of-this-name/1.png", "a\0b"):
        (tmp_path / "n.jsonl").write_text("\n".join(json.dumps({"i": each, "label": each[:1]}) for each in (text, "1.png")))
        for key in ("image", "audio"):
            refused("row 1 of n.jsonl: i.*(which is no path|there is no file)", file=str(tmp_path / "n.jsonl"), **{key: "i"})
    assert own_table(file=write_table(tmp_path, [good, {**good, "label": "b"}]), image="i", audio="a", size=4).rate == 8000


def test_a_set_without_training_rows_and_one_whose_rows_are_all_bad(tmp_path):
    file = write_table(tmp_path, [{**row, "part": "test"} for row in ROWS])
    refused("no row is for training, by part", file=file, text="text", split="part")
    (tmp_path / "a.csv").write_text("text,label\n,a\n,b\n")
    refused(r"has 0 class\(es\) in 0 rows", file=str(tmp_path / "a.csv"), text="text", skip_bad=True)


@pytest.mark.parametrize(("digits", "match"), [(400, "row 1 of .*which is no number"), (5000, "line 1 is not JSON")])
def test_whole_numbers_of_hundreds_of_digits(tmp_path, digits, match):
    (tmp_path / "a.jsonl").write_text(f'{{"n": {"9" * digits}, "label": "a"}}\n{{"n": 1, "label": "b"}}\n')
    assert len(refused(match, file=str(tmp_path / "a.jsonl"), numeric=["n"])) < 400


def test_a_column_without_any_number(tmp_path):
    (tmp_path / "a.csv").write_text("n,m,label\n,1,a\nNA,2,b\n")
    refused("numeric=n: that column of .* holds no number. Leave it out", file=str(tmp_path / "a.csv"), numeric=["n", "m"])
    (tmp_path / "b.csv").write_text("n,label\n1e999,a\n1,b\n")
    refused("row 1 of b.csv: a number among n is infinite", file=str(tmp_path / "b.csv"), numeric=["n"])
