"""The design of a cell: which runs cross draws with seeds, and what each test row contributes to their metric."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xlearn.table.cells import Replicate
from xlearn.table.collect import Record
from xlearn.table.crossed import Array, Crossed, Crossing, Scores, crossed, is_crossed
from xlearn.table.statistics import mean

PREDICTIONS = "predictions.safetensors"
RUN = "run"
BASELINE = "baseline"

# Reads a tensor of `predictions.safetensors` by name. Raises `KeyError` without it.
Read = Callable[[str], Array]


def _correct(read: Read, network: str) -> Array:
    return read(f"correct.{network}")


def _loss(read: Read, network: str) -> Array:
    """Minus the log-probability of the label, of the run only: of other networks no outputs are kept."""
    if network != RUN:
        raise KeyError(network)
    try:
        logits, labels = read("logits").astype(float), read("labels")
    except KeyError:
        return -read("log_probability")
    top = logits.max(1, keepdims=True)
    return (np.log(np.exp(logits - top).sum(1)) + top[:, 0]) - logits[np.arange(len(labels)), labels]


def _squared(read: Read, network: str) -> Array:
    if network != RUN:
        raise KeyError(network)
    outputs = read("logits").astype(float)
    return np.square(outputs - read("labels").reshape(outputs.shape)).mean(1)


# Metrics that are means over test rows. Others (macro averages, calibration) are no such means.
SCORED: Mapping[str, Callable[[Read, str], Array]] = {"accuracy": _correct, "nll": _loss, "mse": _squared}


def scores(folder: Path, metric: str, network: str, value: float) -> Scores | None:
    """What each test row contributes to a metric of the run in `folder`. `network`: the name behind `correct.`.

    None for a metric that is no mean over test rows, without predictions of this network, or if their mean is not `value`, as
    where an episode's rows repeat, or a metric is of another task.
    """
    file = folder / PREDICTIONS
    if metric not in SCORED or not file.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            names = set(stored.keys())

            def read(name: str) -> Array:
                if name not in names:
                    raise KeyError(name)
                return stored.get_tensor(name)

            rows, found = read("rows"), SCORED[metric](read, network)
    except (KeyError, ValueError, IndexError, OSError, SafetensorError):
        return None
    found = found.astype(float)
    if (
        rows.shape != found.shape
        or len(np.unique(rows)) < len(rows)
        or not np.isclose(found.mean(), value, rtol=1e-5, atol=1e-7)
    ):
        return None
    return Scores(rows, found)


def crossing(replicate: Replicate) -> Crossing:
    """(draw, seed) of a replicate in a table with draws, whose replicates begin with seed and draw."""
    return replicate[1], replicate[0]


def crosses(values: Mapping[Replicate, Any], draws: bool) -> bool:
    """Whether these replicates cross draws with seeds. `draws`: whether the runs of the table have draws."""
    return draws and is_crossed([crossing(each) for each in values])


def design(values: Mapping[Replicate, float], found: Mapping[Replicate, Scores], draws: bool) -> Crossed | None:
    """The crossed design of these values; None if they are of one draw, of one seed, or of a seed for each draw. Folds of a
    cross-validation are averaged. Test rows are resampled if every value has `found` scores.
    """
    if not crosses(values, draws):
        return None
    grouped: dict[Crossing, list[Replicate]] = {}
    for each in values:
        grouped.setdefault(crossing(each), []).append(each)
    means = {each: mean([values[one] for one in some]) for each, some in grouped.items()}
    if not found.keys() >= values.keys():
        return crossed(means)
    return crossed(means, {each: _joined([found[one] for one in some]) for each, some in grouped.items()})


def _joined(parts: list[Scores]) -> Scores:
    """The scores of several folds, each with its own test rows."""
    return Scores(np.concatenate([each.rows for each in parts]), np.concatenate([each.values for each in parts]))


def differences(own: Mapping[Replicate, Scores], other: Mapping[Replicate, Scores], sign: int = 1) -> dict[Replicate, Scores]:
    """By replicate the differences on the same test rows, times `sign`; without replicates whose rows differ."""
    found = {each: own[each].minus(other[each]) for each in own if each in other}
    return {each: Scores(made.rows, sign * made.values) for each, made in found.items() if made is not None}


def designs(
    records: Mapping[Replicate, Record], values: Mapping[Replicate, float], gains: Mapping[Replicate, float],
    before: Mapping[Replicate, float], metric: str | None, draws: bool, network: str | None = RUN, higher: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The fields of a cell about its design, if its replicates cross draws with seeds; else none. `records`: the runs of the
    values; `metric` is of the predictions of `network`, a gain is over those of the baseline. None: there are no predictions.
    """
    if not crosses(values, draws):
        return {}
    # Rows are positions in the data of the target.
    several = len({str(((each.result or {}).get("data") or {}).get("target", {}).get("data")) for each in records.values()}) > 1

    def found(of: str | None, numbers: Mapping[Replicate, float]) -> dict[Replicate, Scores]:
        if several or metric is None or of is None:
            return {}
        made = {each: scores(records[each].folder, metric, of, value) for each, value in numbers.items()}
        return {each: one for each, one in made.items() if one is not None}

    own, other = found(network, values), found(BASELINE, before)
    changes = differences(own, other, 1 if higher else -1)
    return {
        "crossed": design(values, own, draws), "gain_crossed": design(gains, changes, draws), "scores": own,
        "before_scores": other,
    }  # fmt: skip
