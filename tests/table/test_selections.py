"""Columns that are rules of selection, and rows that bound adaptation, on results written by hand."""

from pathlib import Path

import pytest
from scipy import stats
from toys.results import document, frame, refusal, write

from xlearn.selection import LABEL_FREE, RULES
from xlearn.table import command
from xlearn.table.selections import MEANINGS

SEEDS = range(3)
LOW, HIGH = [0.50, 0.52, 0.54], [0.90, 0.92, 0.94]
# By rule, of seed 0; the other seeds have 0.02 and 0.04 more.
CORAL = {
    "last": 0.60, "source_val": 0.62, "importance_weighted": 0.61, "dev": 0.69, "entropy": 0.56, "infomax": 0.66, "snd": 0.58,
    "mixval": 0.64, "oracle": 0.72,
}  # fmt: skip
SHOT = {"last": 0.60, "entropy": 0.57, "infomax": 0.59, "snd": 0.55, "mixval": 0.63, "oracle": 0.70}
SELECTION = ["last", "source_val", "label-free", "oracle"]
KEYS = ["--columns", "selection"]


def measured(value: float) -> dict:
    return {"accuracy": value, "nll": 1 - value, "per_class": {}}


def made(transfer: str, seed: int, values: dict | None = None, target: str = "optdigits", **more) -> dict:
    """A run without labels of the target; its own number is that of the last look."""
    low, high = LOW[seed], HIGH[seed]
    value = low if values is None else values["last"] + seed / 50
    result = document(transfer, 0, seed, value, low)
    result["choices"]["target"] = target
    result["baseline"]["name"] = "source_only"
    parts = {"source_only": low, "target_only": high}
    result["bounds"] = {
        name: {"metrics": measured(each), "phases": [{"seconds": 1.0}], "selection": []} for name, each in parts.items()
    }
    result["gap_closed"] = {"accuracy": (value - low) / (high - low)}
    if values is not None:
        result["selections"] = {
            rule: {
                "step": step, "score": None, "metrics": measured(each + seed / 50),
                "gain": {"accuracy": each + seed / 50 - low, "nll": each + seed / 50 - low},
                "gap_closed": {"accuracy": (each + seed / 50 - low) / (high - low)},
            }
            for step, (rule, each) in enumerate(values.items())
        }  # fmt: skip
    return {**result, **more}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in SEEDS:
        for name, values in (("coral", CORAL), ("shot", SHOT), ("source_only", None)):
            write(tmp_path / "runs" / f"{name}{seed}", made(name, seed, values))
    return tmp_path / "runs"


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, list[str]], str]:
    """The lines of the table by row, and all that is printed."""
    assert command.main(arguments) == 0
    out = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}, out


def test_four_columns_each_with_what_its_rule_selects(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), *KEYS], capsys)
    assert list(dict.fromkeys(column for _, column in found.index)) == SELECTION
    for rule in ("last", "source_val", "oracle"):
        values = [CORAL[rule] + seed / 50 for seed in SEEDS]
        line = found.loc[("coral", rule)]
        assert line["mean"] == pytest.approx(CORAL[rule] + 0.02) and line["n"] == 3
        assert line["gain"] == pytest.approx(CORAL[rule] + 0.02 - 0.52)
        low, high = stats.t.interval(0.95, 2, loc=CORAL[rule] + 0.02, scale=stats.sem(values))
        assert line[["low", "high"]].tolist() == pytest.approx([low, high])
        assert line["selection"] == rule
    # A run that selects nothing has one number, and repeats it.
    assert found.loc["source_only", "mean"].tolist() == pytest.approx([0.52] * 4)


def test_label_free_is_the_rule_with_the_best_mean_of_those_that_all_runs_have(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """dev would be the best, and shot has none; infomax is the best of coral, and mixval of both together."""
    found, out = printed([str(results), *KEYS], capsys)
    assert found["transfer"] == [f"selection={rule}" for rule in SELECTION]
    assert found["coral"][2].startswith("**0.660**") and found["shot"][2].startswith("0.650 ")
    assert "`label-free`: mixval, the rule without target labels with the best mean accuracy" in out
    assert "chosen on these test results, so optimistic" in out
    only, out = printed([str(results), *KEYS, "--where", "transfer=coral"], capsys)
    assert only["coral"][2].startswith("**0.710**") and "`label-free`: dev, the rule" in out


def test_lower_is_better_chooses_the_lowest(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in SEEDS:
        changed = made("coral", seed, CORAL)
        changed["selections"]["snd"]["metrics"]["nll"] = 0.01
        write(results / f"coral{seed}", changed)
    found, out = printed([str(results), *KEYS, "--metric", "nll", "--where", "transfer=coral"], capsys)
    assert found["coral"][2].startswith("**0.010**") and "`label-free`: snd, the rule" in out and "best mean nll" in out


def test_the_oracle_has_a_dagger_and_no_other(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, out = printed([str(results), *KEYS], capsys)
    for row in ("coral", "shot"):
        assert ["†" in cell for cell in found[row]] == [False, False, False, True]
    assert "(`†`; an oracle for methods that train without target labels)" in out
    assert not any("†" in cell for cell in found["source_only"])
    without, out = printed([str(results)], capsys)
    assert not any("†" in cell for line in without.values() for cell in line) and "`†`" not in out
    write(results / "coral0", made("coral", 0, CORAL, selection=["oracle"]))
    kept, _ = printed([str(results)], capsys)
    assert "†" in kept["coral"][0]


def test_a_rule_that_a_run_has_no_score_of_is_empty_there(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, out = printed([str(results), *KEYS], capsys)
    assert found["shot"][1] == "n/a" and "3 finished run(s) have no score under some rules" in out


def test_all_rules_are_shown_on_demand_and_explained(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), "--columns", "selections"], capsys)
    assert tuple(dict.fromkeys(column for _, column in found.index)) == RULES
    assert found.loc["coral", "mean"].tolist() == pytest.approx([CORAL[rule] + 0.02 for rule in RULES])
    _, out = printed([str(results), "--columns", "selections"], capsys)
    assert MEANINGS.keys() == {*RULES} and all(f"`{rule}`: {MEANINGS[rule]}" in out for rule in RULES)
    assert "label-free" not in out and set(LABEL_FREE) < {*RULES}


def test_percent_is_the_share_of_the_gap_between_the_means(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the means: (0.62 - 0.52) / (0.92 - 0.52), and not the mean of what each seed closes."""
    found, out = printed([str(results), *KEYS], capsys)
    assert "(+0.100, 25 %)" in found["coral"][0]
    assert "(+0.220, 55 %)" in found["coral"][3]
    assert "(" not in found["source_only"][0]
    assert "Percent: the share of the gap that is closed, from source only (0 %: the unchanged" in out
    nll, _ = printed([str(results), *KEYS, "--metric", "nll"], capsys)
    assert "(+0.220, 55 %)" in nll["coral"][3]
    other = made("coral", 0, CORAL)
    other["bounds"]["target_only"]["metrics"] = measured(0.60)
    write(results / "coral0", other)
    # A seed of little gap weighs as little: (0.62 - 0.52) / (0.82 - 0.52).
    assert "33 %)" in printed([str(results), *KEYS], capsys)[0]["coral"][0]


def test_no_percent_where_the_gap_is_none_or_unknown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in SEEDS:
        worse, unknown = made("coral", seed, CORAL), made("shot", seed, SHOT)
        worse["bounds"]["target_only"]["metrics"] = measured(0.4)
        del unknown["bounds"]["source_only"]
        write(results / f"coral{seed}", worse)
        write(results / f"shot{seed}", unknown)
    found, _ = printed([str(results), *KEYS], capsys)
    assert not any("%" in cell for row in ("coral", "shot") for cell in found[row])
    assert "(" not in found["source_only"][0]


def test_bounds_are_rows(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(results), *KEYS, "--bounds", "source_only,target_only", "--where", "transfer=coral,shot"]
    found, out = printed(words, capsys)
    assert list(found) == ["transfer", "coral", "shot", "source_only", "target_only"]
    assert all(cell.startswith("0.520 ± 0.050 (+0.000)") for cell in found["source_only"])
    assert all(cell.replace("*", "").startswith("0.920 ± 0.050 (+0.400)") for cell in found["target_only"])
    # They are the ends of the gap, and close no share of it.
    assert not any("%" in cell for row in ("source_only", "target_only") for cell in found[row])
    assert "`source_only`: lower bound, the source's network applied" in out
    assert "`target_only`: upper bound, the target trained from scratch on all training labels" in out
    # Where a run of that name is a row already, it is not there twice.
    both = frame([str(results), *KEYS, "--bounds", "source_only,target_only"], capsys)
    assert [row for row, column in both.index if column == "last"] == ["coral", "shot", "source_only", "target_only"]


def test_columns_by_target_and_rule(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in SEEDS:
        write(results / f"other{seed}", made("coral", seed, {rule: value / 2 for rule, value in CORAL.items()}, "mnist5k"))
    found, out = printed([str(results), "--columns", "target,selection"], capsys)
    assert {*found["transfer"]} == {
        f"target={name}, selection={rule}" for name in ("mnist5k", "optdigits") for rule in SELECTION
    }
    heads = dict(zip(found["transfer"], found["coral"], strict=True))
    assert "0.740" in heads["target=optdigits, selection=oracle"]
    assert heads["target=mnist5k, selection=last"].startswith("**0.320**")
    assert "`label-free`: mixval" in out  # one rule for the whole table
    lines = dict(zip(found["transfer"], found["shot"], strict=True))
    assert lines["target=mnist5k, selection=last"] == "-"


def test_without_any_rule_that_is_free_of_labels_there_is_no_such_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in SEEDS:
        write(tmp_path / f"a{seed}", made("coral", seed, {name: CORAL[name] for name in ("last", "source_val", "oracle")}))
    found, out = printed([str(tmp_path), *KEYS], capsys)
    assert found["transfer"] == ["selection=last", "selection=source_val", "selection=oracle"] and "label-free" not in out


def test_what_has_no_such_columns_is_told(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be the last key" in refusal([str(results), "--columns", "selection,target"], capsys)
    assert "must be the last key" in refusal([str(results), "--columns", "selections,selection"], capsys)
    assert "there is no such bound" in refusal([str(results), *KEYS, "--bounds", "target_onli"], capsys)
    write(tmp_path / "plain" / "a", document("finetune", 5, 0, 0.6, 0.5))
    told = refusal([str(tmp_path / "plain"), *KEYS], capsys)
    assert "no run adapts to unlabelled examples" in told and "transfer=coral" in told
