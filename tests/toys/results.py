"""Results of runs, written by hand, and what the table says of them."""

import io
import json
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml

from xlearn.table import command
from xlearn.table.collect import Record

# Of runs of several tasks: by role before, by balance and role after.
BEFORE = {"mnist5k": [0.80, 0.82, 0.84], "target": [0.50, 0.50, 0.40]}
TOGETHER = {
    "uniform": {"mnist5k": [0.76, 0.779, 0.798], "target": [0.60, 0.55, 0.44]},
    "pcgrad": {"mnist5k": [0.80, 0.83, 0.85], "target": [0.60, 0.62, 0.50]},
}
TASKS = ["--rows", "balance", "--columns", "tasks"]
ACCURACY = {
    ("scratch", 1): [0.50, 0.52, 0.55],
    ("scratch", 5): [0.80, 0.82, 0.81],
    ("lp_ft", 1): [0.60, 0.625, 0.65],
    ("lp_ft", 5): [0.70, 0.71, 0.72],
}


def document(transfer: str, shots: int | None, seed: int, accuracy: float, before: float, **changes) -> dict:
    """What a run writes as far as a table reads it."""
    config = {
        "experiment": "hand",
        "seed": seed,
        "metric": "accuracy",
        "source": {"mnist5k": {"_target_": "a.b", "val": 0.1}, "fashion": {"_target_": "a.c", "val": 0.1}},
        "target": {"_target_": "a.d", "shots": shots, "folds": None, "fold": 0},
        "encoder": {"image": {"_target_": "x.encoders.Cnn", "widths": [8, 16]}},
        "transfer": {"carry": transfer != "scratch", "phases": {transfer: {"reads": "target"}}},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    }
    for path, content in changes.items():
        *parents, last = path.split("__")
        node = config
        for name in parents:
            node = node[name]
        node[last] = content
    return {
        "config": config,
        "choices": {"transfer": transfer, "target": "optdigits", "encoder/image": "cnn", "optimizer": "adam"},
        "metrics": {"accuracy": accuracy, "nll": 1 - accuracy, "per_class": {}},
        "baseline": {"name": "scratch", "metrics": {"accuracy": before, "nll": 1 - before}, "phases": []},
        "gain": {"accuracy": accuracy - before, "nll": accuracy - before},
        "selection": ["last"],
        "phases": [{"name": "a", "seconds": 1.5, "cached": True}, {"name": "b", "seconds": 2.0, "cached": False}],
    }


def write(folder: Path, content: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def fail(folder: Path, content: dict, reason: str | None = "the loss became nan") -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(content["config"]))
    hydra = {"hydra": {"runtime": {"choices": {**content["choices"], "hydra/launcher": "basic"}}}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(hydra))
    if reason is not None:
        (folder / "error.txt").write_text(f"Traceback\n{reason}\n")
    return folder


def fill(folder: Path) -> Path:
    """A result for every number above."""
    for (transfer, shots), values in ACCURACY.items():
        for seed, accuracy in enumerate(values):
            before = ACCURACY["scratch", shots][seed]
            write(folder / f"{transfer}{shots}{seed}", document(transfer, shots, seed, accuracy, before))
    return folder


def frame(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pandas.DataFrame:
    assert command.main([*arguments, "--format", "csv"]) == 0
    return pandas.read_csv(io.StringIO(capsys.readouterr().out)).set_index(["row", "column"])


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert command.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    return captured.err


def finished(**more: Any) -> dict:
    made = document("finetune", 5, 0, 0.6, 0.5, target__fraction=None)
    made["config"]["target"]["fraction"] = None
    for part in (made["metrics"], made["baseline"]["metrics"], made["gain"]):
        part.update(
            {
                name: 0.25
                for name in ("accuracy", "balanced_accuracy", "macro_f1", "nll", "calibration_error")
                if name not in part
            }
        )
    return {**made, "data": {}, **more}


def relative(balance: str, seed: int) -> float:
    return sum(TOGETHER[balance][role][seed] / BEFORE[role][seed] - 1 for role in BEFORE) / 2


def entry(name: str, value: float, before: float, parameters: int = 1000) -> dict:
    return {
        "name": name,
        "metrics": {"accuracy": value, "nll": 1 - value, "per_class": {"c0": {"f1": value / 2}}},
        "single": {
            "name": "single task",
            "metrics": {"accuracy": before, "nll": 1 - before, "per_class": {"c0": {"f1": before / 2}}},
            "phases": [{"name": "single", "seconds": 2.0}, {"name": "single", "seconds": 0.5}],
            "cost": {"parameters": parameters, "flops": 2e6, "trained": parameters},
        },
        "gain": {"accuracy": value - before, "nll": value - before},
    }


def joint(balance: str, seed: int, roles: tuple[str, ...] = ("mnist5k", "target"), **more: Any) -> dict:
    """A run of `transfer=joint`."""
    names = {"target": "optdigits"}
    made = document("joint", 5, seed, TOGETHER[balance]["target"][seed], 0.45)
    made["config"]["source"] = {role: {"_target_": "a.b"} for role in roles if role != "target"}
    made["config"]["transfer"]["joins"] = True
    made["config"]["balance"] = {"_target_": f"x.{balance}"}
    made["choices"]["balance"] = balance
    made["tasks"] = {
        role: entry(names.get(role, role), TOGETHER[balance].get(role, TOGETHER[balance]["target"])[seed],
                    BEFORE.get(role, BEFORE["target"])[seed])
        for role in roles
    }  # fmt: skip
    delta = relative(balance, seed)
    made["delta_m"] = {"accuracy": delta, "nll": -delta}
    made["cost"] = {"parameters": 1200, "flops": 2.5e6, "trained": 1500, "all_parameters": 1500}
    return {**made, **more}


def rows(out: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}


def finish(record: Record, folder: Path, accuracy: float = 0.5) -> None:
    """Write the result that the run of `record` could have had."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "config": {**record.config, "threads": 7},  # no part of a run's identity
        "choices": record.choices,
        "metrics": {"accuracy": accuracy},
        "baseline": {"name": "scratch", "metrics": {"accuracy": 0.4}},
        "gain": {"accuracy": accuracy - 0.4},
        "selection": ["last"],
        "phases": [{"seconds": 1.0}],
    }
    (folder / "result.json").write_text(json.dumps(content))
