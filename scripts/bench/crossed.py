"""The interval of crossed designs in simulations: how often it covers the true mean, and what the components are.

python scripts/bench/crossed.py [DESIGNS]   # simulated designs per line, 300 by default
"""

import sys
import time
from itertools import product

import numpy as np

from xlearn.table.crossed import Scores, crossed
from xlearn.table.statistics import half_width

MEAN = 0.5
# Draws, seeds, standard deviations (draw, seed, rest), missing combinations, test rows (0: none are simulated), official split.
LINES = [
    (3, 3, (0.03, 0.01, 0.01), 0, 0, True),
    (3, 3, (0.01, 0.03, 0.01), 0, 0, True),
    (3, 3, (0.02, 0.02, 0.02), 0, 0, True),
    (3, 3, (0.03, 0.0, 0.0), 0, 0, True),
    (3, 3, (0.0, 0.0, 0.03), 0, 0, True),
    (5, 5, (0.03, 0.01, 0.01), 0, 0, True),
    (2, 2, (0.03, 0.01, 0.01), 0, 0, True),
    (4, 4, (0.03, 0.01, 0.01), 5, 0, True),
    (3, 3, (0.03, 0.01, 0.01), 0, 400, True),
    (3, 3, (0.03, 0.01, 0.01), 0, 400, False),
]


def design(generator, draws, seeds, deviations, missing, rows, official):
    """(the values, the scores of test rows or None) of one design."""
    of_draws, of_seeds = generator.normal(0, deviations[0], draws), generator.normal(0, deviations[1], seeds)
    values, scores, easy = {}, {}, generator.normal(0, 0.1, 4 * rows)
    for draw in range(draws):
        there = np.arange(rows) if official else np.sort(generator.choice(4 * rows, rows, replace=False))
        for seed in range(seeds):
            value, run = MEAN + of_draws[draw] + of_seeds[seed] + generator.normal(0, deviations[2]), (str(draw), str(seed))
            if rows:
                scores[run] = Scores(there, (generator.random(rows) < value + easy[there]).astype(float))
                value = scores[run].values.mean()
            values[run] = value
    left_out = [
        [*product(map(str, range(draws)), map(str, range(seeds)))][each] for each in generator.permutation(draws * seeds)
    ]
    kept = {run: value for run, value in values.items() if run not in left_out[:missing]}
    return kept, {run: scores[run] for run in kept} if rows else None


def line(count, *given):
    generator = np.random.default_rng(0)
    inside, normal, student, found = [], [], [], []
    for _ in range(count):
        values, scores = design(generator, *given)
        made = crossed(values, scores)
        off, naive, parts = abs(made.mean - MEAN), half_width([*values.values()]), made.components
        assert naive is not None and parts is not None
        inside.append(off < made.half_width)
        normal.append(off < 1.96 * made.error)
        student.append(off < naive)
        found.append([parts.draw, parts.seed, parts.rest])
    shares = " ".join(f"{100 * np.mean(each):5.1f} %" for each in (inside, normal, student))
    means = ", ".join(f"{value:.4f}" for value in np.sqrt(np.mean(found, 0)))
    what = f"{given[0]} x {given[1]}, sd {given[2]}, missing {given[3]}, rows {given[4]}, official {given[5]}"
    print(f"{what}: {shares}; sd {means}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print("covered by: the interval, 1.96 errors, Student's t over the runs; square root of the mean components")
    for each in LINES:
        line(count, *each)
    generator = np.random.default_rng(0)
    for rows, seeds in ((2000, 3), (10000, 5)):
        runs = [*product(map(str, range(seeds)), map(str, range(seeds)))]
        for kind in ("continuous", "correct or not"):
            scores = {}
            for run in runs:
                drawn = generator.random(rows)
                scores[run] = Scores(np.arange(rows), drawn if kind == "continuous" else (drawn < 0.9).astype(float))
            began = time.perf_counter()
            crossed({run: each.values.mean() for run, each in scores.items()}, scores)
            print(f"{rows} test rows, {seeds} x {seeds}, {kind}: {time.perf_counter() - began:.3f} s")


if __name__ == "__main__":
    main()
