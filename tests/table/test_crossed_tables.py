"""Tables of draws and seeds."""

import json
from itertools import product

import pytest
import torch
from scipy import special
from toys.results import document, frame, write

from xlearn.runtime.storage import write_tensors
from xlearn.table import command
from xlearn.table.crossed import components, crossed
from xlearn.table.statistics import half_width

LABELS = torch.tensor([0, 1] * 20)


def run(folder, draw, seed, accuracy, before, transfer="lp_ft", predictions=True, rows=None, **changes):
    """A result whose predictions have these shares of correct rows. `rows`: the test rows of the draw."""
    share = {name: torch.arange(40) < round(40 * value) for name, value in (("run", accuracy), ("baseline", before))}
    content = document(transfer, 5, seed, accuracy, before, target__draw=draw, **changes)
    place = write(folder / f"{transfer}{draw}{seed}", content)
    if predictions:
        tensors = {f"correct.{name}": right for name, right in share.items()}
        tested = torch.arange(40) if rows is None else rows
        write_tensors(place / "predictions.safetensors", {**tensors, "labels": LABELS, "rows": tested})


def fill(folder, better=0.1, **more):
    for draw, seed in product(range(3), range(3)):
        before = 0.5 + 0.1 * draw + 0.025 * seed
        run(folder, draw, seed, before + better + 0.025 * (draw == seed), before, **more)
    return folder


def printed(arguments, capsys):
    assert command.main([str(each) for each in arguments]) == 0
    return capsys.readouterr().out


def test_a_crossed_table(tmp_path, capsys):
    folder = fill(tmp_path / "runs")
    out = printed([folder], capsys)
    assert "sd: draw 0.0" in out and "; target.draw 0, 1, 2)" in out and "n = 9 per cell" in out
    assert "draws are crossed with seeds (3 x 3)" in out and "and test rows of these data" in out
    assert "*↑" in out and "runs of the same draw, seed and test rows" in out
    line = frame([str(folder)], capsys).iloc[0]
    accuracies = {(str(d), str(s)): 0.6 + 0.1 * d + 0.025 * s + 0.025 * (d == s) for d, s in product(range(3), range(3))}
    parts = components(accuracies)
    assert line["variance_draw"] == pytest.approx(parts.draw) and line["variance_seed"] == pytest.approx(parts.seed)
    assert line["variance_rest"] == pytest.approx(parts.rest)
    assert (line["draws"], line["seeds"], line["test_rows"]) == (3, 3, 40)
    # With the error of 40 test rows, which is no error of few draws.
    alone = crossed(accuracies)
    assert line["degrees"] > alone.degrees
    assert (line["high"] - line["mean"]) / special.stdtrit(line["degrees"], 0.975) > alone.error


def test_a_finished_table_is_printed_again(tmp_path, capsys):
    folder, file = fill(tmp_path / "runs"), tmp_path / "table.json"
    printed([folder, "--out", file], capsys)
    assert printed([file], capsys) == printed([folder], capsys)
    [cell] = json.loads(file.read_text())["cells"]
    assert cell["crossed"]["components"]["draw"] > 0 and cell["crossed"]["half_width"] == cell["half_width"]
    assert cell["difference"]["p"] == cell["p"] and "scores" not in cell


def test_without_predictions_no_rows_are_resampled(tmp_path, capsys):
    out = printed([fill(tmp_path / "runs", predictions=False)], capsys)
    assert "for these test rows" in out and "No test rows are resampled" in out


def test_a_metric_that_is_no_mean_over_rows(tmp_path, capsys):
    out = printed([fill(tmp_path / "runs"), "--metric", "nll"], capsys)  # no outputs in these predictions
    assert "No test rows are resampled: the metric is no mean over test rows, or predictions are missing" in out


def test_predictions_of_other_numbers_are_not_used(tmp_path, capsys):
    folder = fill(tmp_path / "runs")
    for place in folder.iterdir():
        write_tensors(
            place / "predictions.safetensors", {"correct.run": torch.zeros(40, dtype=torch.bool), "rows": torch.arange(40)}
        )
    assert "No test rows are resampled" in printed([folder], capsys)


def test_missing_combinations_and_unequal_numbers(tmp_path, capsys):
    folder = tmp_path / "runs"
    for draw, seed in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]:
        run(folder, draw, seed, 0.6 + 0.05 * draw + 0.025 * seed, 0.5)
    out = printed([folder], capsys)
    assert "1 cell(s) lack combinations of draw and seed" in out and "n = 5 per cell" in out


def test_one_draw_one_seed_and_a_seed_for_each_draw_have_todays_interval(tmp_path, capsys):
    values = [0.6, 0.65, 0.725]
    kinds = {
        "one draw": ([(1, 0), (1, 1), (1, 2)], "± of one draw (1): over seeds"),
        "one seed": ([(0, 1), (1, 1), (2, 1)], "± of one seed (1): over draws"),
        "each": ([(0, 5), (1, 6), (2, 7)], "± of runs with a seed for each draw"),
    }
    for name, (places, told) in kinds.items():
        for (draw, seed), value in zip(places, values, strict=True):
            run(tmp_path / name, draw, seed, value, 0.5)
        out = printed([tmp_path / name], capsys)
        assert told in out and "sd: " not in out and "paired t test over the shared runs" in out
        line = frame([str(tmp_path / name)], capsys).iloc[0]
        assert line["high"] - line["mean"] == pytest.approx(half_width(values)) and "draws" not in line


def test_runs_without_a_draw_have_that_of_their_seed(tmp_path, capsys):
    folder = tmp_path / "runs"
    for seed in range(3):
        run(folder, seed, seed, 0.6, 0.5)
        write(folder / f"unset{seed}", document("scratch", 5, seed, 0.5 + 0.1 * seed, 0.5))
    out = printed([folder, "--against", "scratch"], capsys)
    assert "n = 3 per cell (seed 0, 1, 2; target.draw 0, 1, 2)" in out and "keys that are neither row" not in out
    # Without any draw nothing is said of draws.
    assert "draw" not in printed([folder, "--where", "transfer=scratch"], capsys).partition("Weights kept")[0]


def test_rows_against_a_row_are_paired_by_draw_and_seed(tmp_path, capsys):
    folder = fill(fill(tmp_path / "runs"), better=0.0, transfer="scratch")
    line = frame([str(folder), "--against", "scratch"], capsys).loc["lp_ft"].iloc[0]
    changes = {(str(d), str(s)): 0.1 + 0.025 * (d == s) for d, s in product(range(3), range(3))}
    assert line["p"] >= crossed(changes).p > 0
    assert line["p"] < 0.05


def test_sweeps_of_folds_average_the_folds(tmp_path, capsys):
    folder = tmp_path / "runs"
    for draw, seed, fold in product(range(2), range(2), range(2)):
        rows = torch.arange(40) + 40 * fold
        content = {"target__folds": 2, "target__fold": fold, "rows": rows}
        run(folder / str(fold), draw, seed, 0.5 + 0.1 * draw + 0.05 * seed + 0.025 * fold, 0.5, **content)
    line = frame([str(folder)], capsys).iloc[0]
    expected = components({(str(d), str(s)): 0.5125 + 0.1 * d + 0.05 * s for d, s in product(range(2), range(2))})
    assert (line["n"], line["test_rows"]) == (8, 80)
    assert line["variance_draw"] == pytest.approx(expected.draw) and line["variance_seed"] == pytest.approx(expected.seed)
