"""Labels of a table: missing ones, spellings of one class, owners of rows, texts that cannot be read."""

import json
import unicodedata

import pytest

from xlearn.data.modalities.vocabulary import normalizer_of
from xlearn.data.tasks._own_table import own_table
from xlearn.data.tasks.table_columns import unreadable
from xlearn.runtime.errors import Problem


def table(folder, labels, **words):
    (folder / "a.csv").write_text("x,label\n" + "".join(f"{row},{each}\n" for row, each in enumerate(labels)))
    return own_table(file=str(folder / "a.csv"), numeric="x", **words)


def test_missing_labels_are_unlabelled_rows(tmp_path):
    words = ["a", "", "NA", "nan", "None", "null", "n/a", "N/A", "?", "b"]
    found = table(tmp_path, words)
    assert found.classes == ("a", "b") and found.labelled.tolist() == [True, *[False] * 8, True]
    assert found.notes["unlabelled_rows"] == 8 and not found.labels[1:9].any()
    assert found.notes["missing_labels"] == ["? (1)", "N/A (1)", "NA (1)", "None (1)", "n/a (1)", "nan (1)", "null (1)"]
    kept = table(tmp_path, words, missing_labels="keep")
    assert (
        len(kept.classes) == 9 and kept.notes["unlabelled_rows"] == 1 and kept.labelled.tolist() == [True, False, *[True] * 8]
    )
    assert table(tmp_path, ["a", "b"]).labelled is None


def test_classes_are_named_where_no_row_shows_them(tmp_path):
    with pytest.raises(Problem, match="no row of .* has a label. Name the classes, as in class_names="):
        table(tmp_path, ["", "NA"])
    found = table(tmp_path, ["", "NA"], class_names=["10", "2"])
    assert found.classes == ("2", "10") and not found.labelled.any() and found.labels.tolist() == [0, 0]
    with pytest.raises(Problem, match="class_names: row 2 of a.csv has the label 'noo'.*'no'"):
        table(tmp_path, ["yes", "noo"], class_names=["no", "yes"])
    for wrong in (["a"], ["a", "a"]):
        with pytest.raises(Problem, match="class_names=.*name two classes or more, each once"):
            table(tmp_path, ["a"], class_names=wrong)


def test_spellings_of_one_class_are_noted_or_merged(tmp_path):
    words = [" cat", "Cat", "cat", "\uff23\uff21\uff34", "dog", "new  york", "New York"]
    found = table(tmp_path, words)
    assert found.notes == {"label_variants": ["'cat' = 'Cat' = '\uff23\uff21\uff34'", "'New York' = 'new  york'"]}
    assert found.classes == ("Cat", "New York", "cat", "dog", "new  york", "\uff23\uff21\uff34")
    merged = table(tmp_path, words, normalise_labels=True)
    assert merged.classes == ("New York", "cat", "dog") and merged.labels.tolist() == [1, 1, 1, 1, 2, 0, 0]
    assert merged.notes == {"labels_normalised": 3}


def test_composed_and_decomposed_letters_are_one_class(tmp_path):
    words = ["größe", unicodedata.normalize("NFD", "größe"), "b"]
    found = table(tmp_path, words)
    assert found.classes == ("b", "größe") and found.labels.tolist() == [1, 1, 0] and found.notes == {"labels_composed": 1}
    assert table(tmp_path, words[1:]).classes == ("b", "größe")


def test_owners_of_rows(tmp_path):
    (tmp_path / "a.csv").write_text("x,who,label\n1,p,a\n2,q,b\nz,q,b\n3, p,a\n4,,b\n5,,a\n")
    file = str(tmp_path / "a.csv")
    found = own_table(file=file, numeric="x", split_by="who", skip_bad=True)
    assert found.owner.tolist() == [0, 1, 0, 2, 3] and found.names[2] == "row 4 of a.csv"
    for column, match in (("label", "split_by=label is the label too"), ("x", "numeric=x is the split_by"), ("whom", "'who'")):
        with pytest.raises(Problem, match=match):
            own_table(file=file, numeric="x", split_by=column)


def test_texts_that_no_encoding_can_write_and_invisible_ones(tmp_path):
    texts = ["half \ud83d here", "\u200b", "a\0b", "good", "\ue001", "\ufe0f\u0301", "also good \u200b"]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"text": text, "label": row % 2}) for row, text in enumerate(texts)))
    with pytest.raises(Problem, match=r"5 row\(s\) cannot be used") as told:
        own_table(file=str(file), text="text")
    assert "row 1 of a.jsonl: text holds U+D83D, which is half of a character" in str(told.value)
    assert "row 2 of a.jsonl: text holds invisible characters only (U+200B)" in str(told.value)
    assert "row 3 of a.jsonl: text holds U+0000" in str(told.value)
    str(told.value).encode()
    found = own_table(file=str(file), text="text", skip_bad=True, class_names=[0, 1])
    assert found.inputs["text"] == ["good", "also good \u200b"] and found.notes == {"bad_rows": 5}
    assert found.names == ["row 4 of a.jsonl", "row 7 of a.jsonl"]
    for key in ("label", "category", "image"):
        file.write_text(
            "\n".join(json.dumps({"t": "x", "z": row, "c": each}) for row, each in enumerate(("\ud83d", "\udc80", "x")))
        )
        words = {"label": "z", key: "c"} if key != "label" else {"label": "c"}
        with pytest.raises(Problem, match="row 1 of a.jsonl") as told:
            own_table(file=str(file), text="t", **words)
        str(told.value).encode()


def test_whatever_the_loader_takes_for_a_text_has_a_token_for_learned_tokenisers():
    normalizer = normalizer_of(True)
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    visible = [each for each in characters if not each.isspace() and unreadable(each) is None]
    assert len(visible) > 100_000 and not [each for each in visible if not normalizer.normalize_str(each)]
