"""Crossed designs: variance components, the crossed bootstrap, and tables of draws and seeds."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from scipy import special
from toys.results import document, frame, write

from xlearn.runtime.storage import write_tensors
from xlearn.table import command
from xlearn.table.crossed import Scores, components, crossed, is_crossed
from xlearn.table.statistics import half_width

BY_HAND = [[1.0, 3.0, 5.0], [4.0, 4.0, 10.0], [4.0, 8.0, 6.0]]


def design(table):
    return {(str(i), str(j)): float(value) for i, line in enumerate(table) for j, value in enumerate(line)}


def simulated(generator, draws, seeds, draw, seed, rest):
    of_draws, of_seeds = generator.normal(0, draw, (draws, 1)), generator.normal(0, seed, (1, seeds))
    return 0.5 + of_draws + of_seeds + generator.normal(0, rest, (draws, seeds))


def test_components_of_three_by_three_by_hand():
    # Means of draws 3, 6, 6, of seeds 3, 5, 7, of all 5: MS of draws 18 / 2, of seeds 24 / 2; residuals 0, 2 or -2: 16 / 4.
    found = components(design(BY_HAND))
    assert (found.draw, found.seed, found.rest) == pytest.approx(((9 - 4) / 3, (12 - 4) / 3, 4))
    assert found.clipped == ()
    # Another origin and another scale.
    moved = components({run: 100 + 10 * value for run, value in design(BY_HAND).items()})
    assert (moved.draw, moved.seed, moved.rest) == pytest.approx((500 / 3, 800 / 3, 400))


def test_an_estimate_below_zero_is_clipped_and_said():
    # Both draws have mean 2 and both seeds too: MS of draws and seeds 0, of the rest 4.
    found = components(design([[1, 3], [3, 1]]))
    assert (found.draw, found.seed, found.rest) == (0, 0, pytest.approx(4))
    assert found.clipped == ("draw", "seed")
    equal = components(design([[0.7, 0.7], [0.7, 0.7]]))
    assert (equal.draw, equal.seed, equal.rest, equal.clipped) == (0, 0, 0, ())


@pytest.mark.parametrize("missing", [0, 20])
def test_simulated_components_are_recovered_in_the_mean(missing):
    generator = np.random.default_rng(1)
    found = []
    for _ in range(300):
        values = design(simulated(generator, 8, 6, 3.0, 2.0, 1.0))
        for place in generator.choice(len(values), missing, replace=False):
            values.pop(sorted(design(np.zeros((8, 6))))[place])
        made = components(values)
        found.append((made.draw, made.seed, made.rest))
    assert np.mean(found, 0) == pytest.approx((9, 4, 1), rel=0.1)


def test_what_is_crossed():
    assert is_crossed([*product("012", "01")])
    assert is_crossed([("0", "0"), ("0", "1"), ("1", "0")])
    assert is_crossed([("0", "0"), ("0", "1"), ("1", "2"), ("1", "3")])  # seeds nested in draws are no independent runs
    assert not is_crossed([("0", "0"), ("1", "1"), ("2", "2")])  # a seed for each draw
    assert not is_crossed([("0", "0"), ("0", "1")]) and not is_crossed([("0", "0"), ("1", "0")]) and not is_crossed([])
    nested = {("0", "0"): 0.1, ("0", "1"): 0.2, ("1", "2"): 0.6, ("1", "3"): 0.5}
    assert components(nested) is None and crossed(nested).components is None


def scored(generator, draws, seeds, rows, official):
    """Scores of runs, a row's difficulty in common; without official splits each draw has other test rows."""
    hard, found = generator.normal(0, 1, 3 * rows), {}
    for draw in range(draws):
        there = np.arange(rows) if official else np.sort(generator.choice(3 * rows, rows, replace=False))
        shift = generator.normal(0, 0.3)
        for seed in range(seeds):
            right = hard[there] + shift + generator.normal(0, 0.5, rows) > -0.5
            found[str(draw), str(seed)] = Scores(there, right.astype(float))
    return {run: each.values.mean() for run, each in found.items()}, found


@pytest.mark.parametrize("official", [True, False])
def test_the_error_is_that_of_a_bootstrap_by_a_loop(official):
    generator = np.random.default_rng(3)
    values, scores = scored(generator, 3, 3, 30, official)
    draws, seeds = ["0", "1", "2"], ["0", "1", "2"]
    where = {run: dict(zip(each.rows.tolist(), each.values, strict=True)) for run, each in scores.items()}
    every = np.unique(np.concatenate([each.rows for each in scores.values()]))
    means = []
    for _ in range(3000):
        rows = generator.choice(every, len(every))
        chosen_draws, chosen_seeds = generator.choice(draws, 2), generator.choice(seeds, 2)
        means.append(np.mean([
            np.mean([where[draw, seed][row] for row in rows if row in where[draw, seed]])
            for draw in chosen_draws for seed in chosen_seeds
        ]))  # fmt: skip
    found = crossed(values, scores)
    assert found.error == pytest.approx(np.std(means), rel=0.06)
    assert found.test_rows == len(every)
    assert found.error > crossed(values).error  # test rows are a source of error of their own


def test_rows_alone():
    """Equal runs: the error is that of a mean over rows, and continuous scores go the same way as 0 and 1."""
    generator = np.random.default_rng(0)
    for values in (generator.random(400), (generator.random(400) > 0.3).astype(float)):
        runs = [*product("01", "01")]
        found = crossed(dict.fromkeys(runs, values.mean()), dict.fromkeys(runs, Scores(np.arange(400), values)))
        assert found.error == pytest.approx(values.std() / 20, rel=0.05)
        assert (found.components.draw, found.components.seed, found.components.rest) == (0, 0, 0)


def test_without_an_effect_of_seeds_the_interval_is_that_of_draws():
    levels = [0.61, 0.72, 0.66, 0.7]
    found = crossed(design([[level] * 3 for level in levels]))
    assert found.half_width == pytest.approx(half_width(levels), rel=0.04)
    assert found.degrees == pytest.approx(3, rel=0.1)
    assert found.components.draw == pytest.approx(np.var(levels, ddof=1))
    assert found.components.seed == found.components.rest == 0


def test_coverage_of_the_interval():
    """Of new draws and seeds. Student's interval over all runs takes nine runs of three draws for nine independent ones."""
    generator = np.random.default_rng(0)
    inside, naive = [], []
    for _ in range(300):
        values = design(simulated(generator, 3, 3, 0.03, 0.01, 0.01))
        found = crossed(values)
        inside.append(abs(found.mean - 0.5) < found.half_width)
        naive.append(abs(found.mean - 0.5) < half_width([*values.values()]))
    assert 0.92 <= np.mean(inside) <= 0.99
    assert np.mean(naive) < 0.8


def test_a_true_null_is_rejected_in_five_percent_at_most():
    generator = np.random.default_rng(2)
    p = [crossed(design(simulated(generator, 3, 4, 0.03, 0.02, 0.01) - 0.5)).p for _ in range(300)]
    assert np.mean(np.array(p) < 0.05) <= 0.08
    assert crossed(design(simulated(generator, 3, 4, 0.03, 0.02, 0.01) + 1)).p < 0.01
    assert crossed(design([[0.1, 0.1], [0.1, 0.1]])).p is None


def test_the_order_of_runs_does_not_matter():
    values, scores = scored(np.random.default_rng(0), 3, 3, 40, False)
    again = {run: values[run] for run in reversed(values)}
    turned = {run: Scores(each.rows[::-1].copy(), each.values[::-1].copy()) for run, each in reversed(scores.items())}
    assert crossed(values, scores) == crossed(again, turned) == crossed(values, scores)


def test_values_that_are_not_finite():
    found = crossed({**design(BY_HAND), ("0", "0"): float("nan")})
    assert np.isnan(found.half_width) and found.p is None and found.components is None


# Tables

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
