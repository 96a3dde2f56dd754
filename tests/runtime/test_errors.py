"""Messages on paths that do not exist."""

from pathlib import Path

from xlearn.runtime.errors import FEW, beside


def test_the_names_closest_to_a_missing_file_are_offered(tmp_path: Path):
    for name in ("table.csv", "other.txt", ".hidden.csv"):
        (tmp_path / name).touch()
    assert beside(tmp_path / "tabel.csv") == "Did you mean 'table.csv'?"


def test_few_names_are_listed_those_with_the_same_ending_first(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in (*"abcdefgh", "zzz.csv"):
        (folder / name).touch()
    sentence = beside(folder / "nope.csv")
    assert sentence.startswith(f"{folder} has no file 'nope.csv'. It holds 'zzz.csv', 'a', ")
    assert sentence.count("', '") == FEW - 1
    assert sentence.endswith("and 4 more.")


def test_a_missing_folder_is_named_where_the_path_breaks_off(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    assert beside(tmp_path / "fotos" / "cat" / "1.png") == f"{tmp_path} has no folder 'fotos'. Did you mean 'photos'?"
    assert beside(tmp_path / "photos" / "1.png") == f"{tmp_path / 'photos'} is empty."


def test_no_path_is_an_error_of_its_own():
    assert "bin" not in beside("/nope.csv") or beside("/nope.csv").count("', '") < FEW
    for path in ("a\0b", "x" * 5000, "~nosuchuser/a"):
        assert beside(path)
