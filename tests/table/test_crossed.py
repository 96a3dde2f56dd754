"""Crossed designs: variance components and the crossed bootstrap."""

from itertools import product

import numpy as np
import pytest

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
