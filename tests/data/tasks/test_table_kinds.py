"""What columns of a table hold: numbers, truth values, dates, categories."""

import datetime
import json
import math

import pandas
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys.files import write_table

from xlearn.data.content import of_column, of_word
from xlearn.data.tasks._own_table import own_table
from xlearn.runtime.errors import Problem

NAN = math.nan


def table(folder, header, *lines, name="a.csv", **words):
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return own_table(file=str(folder / name), label=words.pop("label", "y"), **words)


def refused(match, *arguments, **words):
    with pytest.raises(Problem, match=match):
        table(*arguments, **words)


def column(found, name):
    return found.inputs["tabular"][:, found.columns.index(name)].tolist()


def test_seconds_since_1970_keep_their_differences(tmp_path):
    found = table(tmp_path, "when,y", "1700000001,a", "1700000002,b", numeric="when")
    assert found.inputs["tabular"].dtype == torch.float64 and column(found, "when") == [1700000001, 1700000002]


def test_all_columns_of_numbers_and_patterns(tmp_path):
    lines = ["1,2,,x,1,2,1,a", "3,NA,5,y,2,1,2,b", "4,5.5,-,z,3,0,3,b"]
    header = "x1,x2,x3,name,id,age,fold,y"
    found = table(tmp_path, header, *lines, numeric="all", split_by="fold", category="age")
    assert found.columns == ("x1", "x2", "x3", "id", "age") and found.categories == ("age",)
    assert found.notes["not_numeric"] == ["name"]
    assert table(tmp_path, header, *lines, numeric=["x*", "age"]).columns == ("x1", "x2", "x3", "age")
    assert table(tmp_path, header, *lines, numeric=["age", "x[12]", "x*"]).columns == ("age", "x1", "x2", "x3")
    refused("numeric=z.*: no column is called so. Known", tmp_path, header, *lines, numeric=["z*"])
    refused("numeric=y is the label too", tmp_path, header, *lines, numeric=["x1", "y"])
    refused("numeric=all: .*no column holds numbers only", tmp_path, "name,y", "x,a", "z,b", numeric="all")
    assert table(tmp_path, "all,b,y", "1,2,a", "3,4,b", numeric="all").columns == ("all",)  # the column of this name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.decimals(-(10**7), 10**7, places=2), min_size=1, max_size=6), grouped=st.booleans())
def test_decimal_commas_are_read_as_points(tmp_path, values, grouped):
    written = [f"{each:,.2f}" if grouped else f"{each:.2f}" for each in values]
    points = table(tmp_path, "x;y", *(f"{each};{row % 2}" for row, each in enumerate([*written, "0.25"])), numeric="x")
    swapped = [each.translate(str.maketrans(".,", ",.")) for each in [*written, "0.25"]]
    commas = table(tmp_path, "x;y", *(f"{each};{row % 2}" for row, each in enumerate(swapped)), numeric="x")
    expected = [float(each) for each in [*values, 0.25]]
    assert column(points, "x") == column(commas, "x") == expected
    assert commas.notes["decimal"] == "comma" and "decimal" not in points.notes


def test_decimal_marks_that_contradict_each_other_or_could_be_both(tmp_path):
    refused("3.5 .row 1 of a.csv. has a decimal point and 2,5 .row 2", tmp_path, "x;y", "3.5;a", "2,5;b", numeric="x")
    refused("1,234 .row 1 of a.csv. could be", tmp_path, "x;y", "1,234;a", "7;b", numeric="x")
    refused("decimal=;: give", tmp_path, "x;y", "1;a", "7;b", numeric="x", decimal=";")
    lines = ["1,234;a", "7;b"]
    assert column(table(tmp_path, "x;y", *lines, numeric="x", decimal=","), "x") == [1.234, 7]
    assert column(table(tmp_path, "x;y", *lines, numeric="x", decimal="point"), "x") == [1234, 7]
    assert column(table(tmp_path, "x;y", "0,125;a", "7;b", numeric="x"), "x") == [0.125, 7]
    refused("row 2 of a.csv: x holds '1,23,4', which is no number", tmp_path, "x;y", "0,5;a", "1,23,4;b", numeric="x")


def test_truth_values(tmp_path):
    words = ["true", "False", "YES", "no", "1", "0", "T", "f", "", "NA", "1.0"]
    found = table(tmp_path, "b,z,y", *(f"{word},1,{row % 2}" for row, word in enumerate(words)), boolean="b", numeric=["z"])
    assert found.columns == ("z", "b")
    assert torch.tensor(column(found, "b")).nan_to_num(-1).tolist() == [1, 0, 1, 0, 1, 0, 1, 0, -1, -1, 1]
    refused(
        "row 2 of a.csv: b holds 'maybe', which is neither true nor false", tmp_path, "b,y", "yes,a", "maybe,b", boolean="b"
    )
    file = write_table(tmp_path, [{"b": True, "y": 1}, {"b": False, "y": 2}], "parquet")
    assert column(own_table(file=file, label="y", boolean=["b"]), "b") == [1, 0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.dates(datetime.date(1850, 1, 1), datetime.date(2150, 1, 1)), min_size=1, max_size=5))
def test_parts_of_dates_are_those_of_python(tmp_path, days):
    days = [*days, datetime.date(2024, 3, 31)]  # which also says that the day comes first
    lines = [f"{day.isoformat()},{day:%d.%m.%Y},{row % 2}" for row, day in enumerate(days)]
    found = table(tmp_path, "iso,german,y", *lines, date=["iso", "german"])
    assert found.notes == {"date_formats": {"german": "%d.%m.%Y"}} and not any("hour" in name for name in found.columns)
    for name in ("iso", "german"):
        assert column(found, f"{name}.year") == [day.year for day in days]
        assert column(found, f"{name}.day") == [day.day for day in days]
        assert column(found, f"{name}.days") == [(day - datetime.date(1970, 1, 1)).days for day in days]
        for part, number, period in (("month", lambda day: day.month - 1, 12), ("weekday", lambda day: day.weekday(), 7)):
            angles = [2 * math.pi * number(day) / period for day in days]
            assert column(found, f"{name}.{part}_sin") == pytest.approx([math.sin(angle) for angle in angles])
            assert column(found, f"{name}.{part}_cos") == pytest.approx([math.cos(angle) for angle in angles])


def test_times_zones_and_missing_dates(tmp_path):
    found = table(
        tmp_path, "d,z,y", "2024-03-31T18:00:00+02:00,1,a", "2024-03-31 04:00,2,b", ",3,a", "NA,4,b", date="d", numeric="z"
    )
    assert column(found, "d.days")[:2] == pytest.approx([19813 + 16 / 24, 19813 + 4 / 24])
    assert column(found, "d.hour_sin")[0] == pytest.approx(math.sin(2 * math.pi * 16 / 24))
    assert found.columns[0] == "z" and found.inputs["tabular"][2:, 1:].isnan().all()
    times = pandas.to_datetime(["2024-03-31 18:00", "2024-01-01 00:00"])
    file = write_table(tmp_path, [{"d": each, "y": row} for row, each in enumerate(times)], "parquet")
    assert column(own_table(file=file, label="y", date="d"), "d.days") == [19813.75, 19723]


def test_dates_of_unclear_order_and_values_that_are_no_dates(tmp_path):
    lines = ["03/04/2024,a", "05/06/2024,b"]
    refused("day and month could be exchanged.*date_format='%d/%m/%Y' or", tmp_path, "d,y", *lines, date="d")
    assert column(table(tmp_path, "d,y", *lines, date="d", date_format="%m/%d/%Y"), "d.day") == [4, 6]
    assert column(table(tmp_path, "d,y", *lines, "12/31/2024,a", date="d"), "d.day") == [4, 6, 31]
    lines += ["31/1/2024,a", "1/31/2024,b"]
    refused("row 3 of a.csv has the day first, row 4 of a.csv the month", tmp_path, "d,y", *lines, date="d")
    refused(
        "row 2 of a.csv: d holds 'soon', which is no date as 2024-03-31", tmp_path, "d,y", "2024-01-02,a", "soon,b", date="d"
    )
    refused("row 1 of a.csv: d holds '2023-02-29'", tmp_path, "d,y", "2023-02-29,a", "2024-02-29,b", date="d")
    refused("row 1 of a.csv: d holds '1700000000'", tmp_path, "d,y", "1700000000,a", "2024-02-29,b", date="d")
    refused("date=d: that column of .* holds no date", tmp_path, "d,x,y", ",1,a", ",2,b", date="d", numeric=["x"])
    refused("date_format=%Q: no format of dates", tmp_path, "d,y", *lines, date="d", date_format="%Q")


def test_categories_are_digests_of_their_words_whatever_the_file(tmp_path):
    found = table(tmp_path, "city,zip,y", "Rome ,007,a", ",7,b", "Paris,007,a", "NA,3.0,b", category=["city", "zip"])
    assert column(found, "city")[0] == of_word("Rome") and math.isnan(column(found, "city")[1])
    assert column(found, "city")[3] == of_word("NA") and column(found, "zip") == [
        of_word(each) for each in ("007", "7", "007", "3")
    ]
    other = table(tmp_path, "zip,city,y", "007,Rome,b", "1,Bonn,a", category=["city", "zip"], name="b.csv")
    first, second = (of_column(each.inputs["tabular"], each.columns) for each in (found, other))
    assert first[0] == second[0] and first[0] != second[1]
    file = tmp_path / "c.jsonl"
    file.write_text("\n".join(json.dumps({"c": each, "y": row}) for row, each in enumerate((3, 3.0, "3", True))))
    assert column(own_table(file=str(file), label="y", category="c"), "c") == [*[of_word("3")] * 3, of_word("True")]
    refused(
        "boolean=c is named under numeric too|category=c is named under",
        tmp_path,
        "c,y",
        "1,a",
        "2,b",
        category="c",
        numeric=["c"],
    )
    refused("category=c: that column of .* is empty", tmp_path, "c,x,y", ",1,a", ",2,b", category="c", numeric=["x"])


def test_digests_of_words_are_whole_numbers_that_a_float64_keeps():
    words = [f"word {number}" for number in range(10000)]
    found = {of_word(word) for word in words}
    assert len(found) == 10000 and all(each == int(each) < 2**53 for each in found)
