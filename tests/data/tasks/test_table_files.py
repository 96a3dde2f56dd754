"""Tables as programs write them: separators, quotes, encodings, compressed files; the same values, whatever they stand in."""

import csv
import gzip
import io
import json

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlearn.data.tasks.table_files import read_file
from xlearn.data.tasks.table_separated import Dialect
from xlearn.data.tasks.tables import read_table
from xlearn.runtime.errors import Problem

NAMES = {",": None, ";": "semicolon", "\t": "tab", "|": "pipe"}
# What separators, quotes and line ends may do to a value; and words that readers of tables like to convert.
VALUES = st.one_of(
    st.text(st.sampled_from("ab1,;|\t\"\n .'é"), max_size=8),
    st.sampled_from(["007", "NA", "1,5", "nan", "None", "TRUE", "1e5"]),
)


def read(folder, content, name="a.csv", **dialect):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_file(folder / name, Dialect(**dialect))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=6), separator=st.sampled_from(",;\t|"),
       end=st.sampled_from(["\n", "\r\n"]), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))  # fmt: skip
def test_what_csv_writes_is_read_unchanged_and_as_pandas_reads_it(tmp_path, rows, separator, end, quoting):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([["id", "text", "label"], *rows])
    columns, notes = read(tmp_path, written.getvalue())
    assert columns == {
        name: list(values) for name, values in zip(("id", "text", "label"), zip(*rows, strict=True), strict=True)
    }
    assert notes.get("separator") == NAMES[separator]
    frame = pandas.read_csv(
        io.StringIO(written.getvalue()),
        sep=separator,
        dtype=str,
        keep_default_na=False,
        na_filter=False,
        skip_blank_lines=False,
    )
    if "\n" not in written.getvalue().replace(end, ""):  # pandas makes other line ends within values equal
        assert frame.to_dict("list") == columns


def test_a_tab_separated_file_whose_texts_begin_or_end_with_a_quotation_mark_has_all_its_rows(tmp_path):
    texts = [f"text {row}" for row in range(300)]
    texts[99], texts[299] = '"He said so', 'and left."'
    columns, _ = read(tmp_path, "text\tlabel\n" + "".join(f"{text}\t{row % 3}\n" for row, text in enumerate(texts)), "a.tsv")
    assert columns["text"] == texts


@pytest.mark.parametrize(
    ("line", "value"),
    [('"a ""b"""\t1', 'a "b"'), ('"a\tb"\t1', "a\tb"), ('"a\nb"\t1', "a\nb"), ('"a" b\t1', '"a" b'), ('5" pipe\t1', '5" pipe')],
)
def test_quotes_between_tabs(tmp_path, line, value):
    assert read(tmp_path, f"text\tlabel\nx\t0\n{line}\n", "a.tsv")[0]["text"] == ["x", value]


def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path):
    rows = "".join(f"text {row},{row % 2}\n" for row in range(20))
    content = f'text,label\n{rows}"so he said,0\n{rows}it ended,1"\n{rows}'
    with pytest.raises(Problem, match="begins with a quotation mark in line 22 and ends in line 43.*quotes=false"):
        read(tmp_path, content)
    assert len(read(tmp_path, content, quotes=False)[0]["text"]) == 62
    with pytest.raises(Problem, match=r"line 3 cannot be read .*the record begins in line 2"):
        read(tmp_path, 'text,label\n"x,a\ny,b\n')
    letter = '"Dear you,\n\nI write, as I said,\nof this, that, and more.\nYours"'
    assert len(read(tmp_path, f"text,label\n{letter},a\n")[0]["text"]) == 1


def test_separators_that_are_given_and_ambiguous_ones(tmp_path):
    with pytest.raises(Problem, match=r"comma \(2\) and semicolon \(2\) columns in every line.*Set separator"):
        read(tmp_path, "a,b;c\n1,2;3\n")
    assert read(tmp_path, "a,b;c\n1,2;3\n", separator="semicolon") == ({"a,b": ["1,2"], "c": ["3"]}, {})
    assert read(tmp_path, "a^b\n1^2\n", separator="^")[0] == {"a": ["1"], "b": ["2"]}
    assert read(tmp_path, "sep=;\na;b\n1,5;2\n")[0] == {"a": ["1,5"], "b": ["2"]}
    assert read(tmp_path, "a;b\n1,5;2,5\n3,0;1\n") == ({"a": ["1,5", "3,0"], "b": ["2,5", "1"]}, {"separator": "semicolon"})
    for wrong in ("ab", "x", '"', ""):
        with pytest.raises(Problem, match="separator="):
            read(tmp_path, "a,b\n1,2\n", separator=wrong)


def test_blank_lines_and_columns_without_name_and_values(tmp_path):
    assert read(tmp_path, "\n a ,b,\n\n1,2,\n   \n3,4,\n")[0] == {"a": ["1", "3"], "b": ["2", "4"]}
    with pytest.raises(Problem, match="two columns are called 'a'"):
        read(tmp_path, "a,a\n1,2\n")


@pytest.mark.parametrize(
    ("encoding", "words", "noted"),
    [
        ("utf-8", "Größe", None), ("utf-8-sig", "Größe", None), ("utf-16", "Größe", None), ("utf-32", "Größe", None),
        ("cp1252", "Größe, schön „na ja“ für 5 €", "windows-1252"), ("latin-1", "déjà vu à l'été", "windows-1252"),
        ("gb18030", "这是一本很好的书我看了两天", "gb18030"),
    ],
)  # fmt: skip
def test_encodings_are_found(tmp_path, encoding, words, noted):
    columns, notes = read(tmp_path, f'name,label\n"{words}",1\n'.encode(encoding))
    assert columns == {"name": [words], "label": ["1"]} and notes.get("encoding") == noted


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("cp1251", "ЮЖДЮЖ ЛДЖ"), ("shift_jis", "こんにちは"), ("euc-kr", "안녕하세요 반갑습니다"), ("big5", "這是一本很好的書"),
     ("gb18030", "正面"), ("mac-roman", "schöne Größe"), ("cp850", "schöne Wörter"), ("iso8859-2", "řeka žije český")],
)  # fmt: skip
def test_encodings_that_could_be_others_are_refused_and_read_when_given(tmp_path, encoding, words):
    content = f"name,label\n{words},1\n".encode(encoding)
    with pytest.raises(Problem, match="line 2 is not UTF-8.*Set encoding, e.g. encoding="):
        read(tmp_path, content)
    assert read(tmp_path, content, encoding=encoding)[0]["name"] == [words]


def test_wrong_encodings_are_refused(tmp_path):
    with pytest.raises(Problem, match="encoding=utf-9: Python knows no such"):
        read(tmp_path, "a,b\n1,2\n", encoding="utf-9")
    with pytest.raises(Problem, match="encoding=base64: Python knows no such"):
        read(tmp_path, "a,b\n1,2\n", encoding="base64")
    with pytest.raises(Problem, match="line 2 is not ascii"):
        read(tmp_path, "a,b\nö,2\n", encoding="ascii")


def test_compressed_files_and_arrays_of_json(tmp_path):
    plain = {"a": ["1", "x"], "b": ["2", "y"]}
    for ending, content in (("csv", "a,b\n1,2\nx,y\n"), ("tsv", "a\tb\n1\t2\nx\ty\n")):
        (tmp_path / f"t.{ending}.gz").write_bytes(gzip.compress(content.encode()))
        assert read_file(tmp_path / f"t.{ending}.gz") == (plain, {})
    (tmp_path / "bad.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(Problem, match="cannot be unpacked"):
        read_file(tmp_path / "bad.csv.gz")
    rows = [{"a": "1", "b": "2"}, {"a": "x", "b": "y"}]
    assert read(tmp_path, json.dumps(rows, indent=1), "t.json")[0] == plain
    assert read(tmp_path, "\n".join(map(json.dumps, rows)), "t.json")[0] == plain
    for wrong, match in (("[1, 2]", "entry 1 is no object"), ('[{"a": 1}', "is not JSON"), ('{"a": 1', "line 1 is not JSON")):
        with pytest.raises(Problem, match=match):
            read(tmp_path, wrong, "t.json")


def test_folders_of_compressed_files_and_a_description_beside_tables(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv.gz").write_bytes(gzip.compress(f"a,b\n{split},2\n".encode()))
    (tmp_path / "info.json").write_text('{"about": "these tables"}')
    table = read_table(str(tmp_path))
    assert table.column("a") == ["test", "train"] and table.splits() == ["test", "train"]
    assert table.place(1) == "row 1 of train.csv.gz"
