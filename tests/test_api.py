"""xlearn from Python: the same runs as the command's, their results, and parts of a run by hand."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pandas
import pytest
import torch
from toys.runs import only

import xlearn
from xlearn.commands.train import main
from xlearn.networks.evaluate import logits
from xlearn.networks.network import tensors
from xlearn.plan.build import build
from xlearn.plan.tasks import prepared
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import machine
from xlearn.runtime.storage import read_tensors

# What transfers leave: copied weights, parts that merge, tasks together, closed forms, statistics, averages, students.
LEFT = [
    ["transfer=finetune"],
    ["transfer=lora", "transfer.adds.largest=1.0"],
    ["transfer=joint", "sharing=mmoe"],
    ["transfer=dann", "target.shots=0"],
    ["transfer=wise_ft"],
]
MORE = [
    ["transfer=adapter", "transfer.adds.rank=2"],
    ["transfer=joint", "sharing=soft"],
    ["transfer=coral_features", "target.shots=0"],
    ["transfer=subspace_alignment", "target.shots=0", "transfer.phases.adapt.solver.components=4"],
    ["transfer=adabn", "target.shots=0", "trunk=mlp", "trunk.normalisation=batch"],
    ["transfer=kd"],
    ["transfer=scratch"],
    ["pretrain=simclr"],
    ["source=[blobs,pairs]", "target=pairs", "fusion=attention"],
]


def words(toy):
    """The overrides among the words, and the folder of tasks."""
    return [word for word in toy if "=" in word], toy[1]


def test_the_top_gives_what_it_promises_and_loads_nothing_before():
    names = ["Network", "Task", "evaluate", "fit", "load_task", "read", "records", "run", "show"]
    assert dir(xlearn) == names and all(callable(getattr(xlearn, name)) for name in names)
    line = "import sys, xlearn; print([name for name in ('torch', 'hydra', 'pandas', 'yaml', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_from_python_is_the_run_of_the_command(toy, capsys):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, config_dirs=folder)
    assert main(toy) == 0
    printed = capsys.readouterr().out
    path, content = only()
    assert "already done" in printed and result.folder == path.absolute() and result.content == content
    assert str(result).splitlines()[:-1] == printed.splitlines()[:-1]
    assert xlearn.read(path).content == content and "metrics" not in repr(result)
    assert result.metrics is result.content["metrics"] and result.config["seed"] == 0
    assert result.gain["accuracy"] == result.metrics["accuracy"] - result.bounds["baseline"]["accuracy"]


def test_bounds_have_the_metrics_of_every_bound(toy):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, "transfer=dann", "target.shots=0", config_dirs=[folder])
    assert result.bounds.keys() == {"baseline", "source_only", "target_only"}
    assert all(0 <= each["accuracy"] <= 1 for each in result.bounds.values())


@pytest.mark.parametrize("more", [[], ["transfer=dann", "target.shots=0"]])
def test_every_test_row_is_right_or_wrong_for_run_baseline_and_bounds(toy, more):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, *more, config_dirs=folder)
    rows = read_tensors(result.folder / "predictions.safetensors")
    names = ["baseline", *(f"bounds.{name}" for name in result.bounds if name != "baseline")]
    assert {name for name in rows if name.startswith("correct.")} == {"correct.run", *(f"correct.{name}" for name in names)}
    assert rows["correct.run"].dtype == torch.bool and len(rows["correct.run"]) == len(rows["rows"])
    assert float(rows["correct.run"].double().mean()) == pytest.approx(result.metrics["accuracy"])
    for name in names:
        accuracy = result.bounds[name.removeprefix("bounds.")]["accuracy"]
        assert float(rows[f"correct.{name}"].double().mean()) == pytest.approx(accuracy)


def leaves_its_network(toy, more):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, *more, config_dirs=folder)
    network = result.network()
    assert not network.training and all(value.device.type == "cpu" for value in network.state_dict().values())
    saved = read_tensors(result.folder / "weights.safetensors")
    own = tensors(network)
    assert own.keys() == saved.keys() and all(torch.equal(value, saved[name]) for name, value in own.items())
    test = prepared(build({**result.config, "choices": result.content["choices"]})).roles["target"]["target"].test.open()
    given = read_tensors(result.folder / "predictions.safetensors")
    found = logits(network, test, machine("cpu", "fp32", 1, multirun=False))
    assert torch.equal(test.rows, given["rows"]) and torch.allclose(found, given["logits"], atol=1e-5)


@pytest.mark.parametrize("more", LEFT)
def test_the_network_that_a_run_leaves_predicts_what_the_run_wrote(toy, more):
    leaves_its_network(toy, more)


@pytest.mark.slow
@pytest.mark.parametrize("more", MORE)
def test_so_does_that_of_every_other_kind(toy, more):
    leaves_its_network(toy, more)


def test_weights_that_do_not_fit_are_told(toy):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, config_dirs=folder)
    file = result.folder / "result.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["config"]["encoder"]["image"]["widths"] = [5, 8]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(Problem, match=r"does not fit the network .* \(they differ in encoder.image.*force=true"):
        xlearn.read(result.folder).network()
    (result.folder / "weights.safetensors").unlink()
    with pytest.raises(Problem, match=r"weights.safetensors is missing. Repeat the run with force=true"):
        result.network()


def test_a_run_in_a_thread(toy):
    overrides, folder = words(toy)
    found = []
    thread = threading.Thread(target=lambda: found.append(xlearn.run(*overrides, config_dirs=folder)))
    thread.start()
    thread.join()
    assert found[0].metrics["accuracy"] > 0


def test_records_are_a_frame(toy):
    overrides, folder = words(toy)
    for more in (["seed=1"], ["seed=2"], ["transfer=dann", "target.shots=0"]):
        xlearn.run(*overrides, *more, config_dirs=folder)
    with pytest.raises(Problem):
        xlearn.run(*overrides, "optimizer.lr=1e30", config_dirs=folder)
    found = xlearn.records("outputs")
    assert isinstance(found, pandas.DataFrame) and len(found) == 4 and sorted(found["seed"]) == [0, 0, 1, 2]
    [failed] = found[found["failure"].notna()].to_dict("records")
    assert failed["optimizer.lr"] == 1e30 and "Lower optimizer.lr" in failed["failure"]
    [dann] = found[found["transfer"] == "dann"].to_dict("records")
    content = xlearn.read(dann["folder"]).content
    assert dann["metrics.accuracy"] == content["metrics"]["accuracy"] and dann["target.shots"] == 0
    assert dann["bounds.target_only.nll"] == content["bounds"]["target_only"]["metrics"]["nll"]
    assert dann["gap_closed.accuracy"] == content["gap_closed"]["accuracy"]
    assert xlearn.records(["outputs"]).equals(found)
    assert list(found.columns[:3]) == ["folder", "seed", "source"] and "batch_size" not in found


def test_a_run_of_two_versions_counts_once(toy, capsys):
    """As in a table: the newer result."""
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, config_dirs=folder)
    older = Path("outputs/older")
    older.mkdir()
    content = {**result.content, "format": 2, "metrics": {**result.metrics, "accuracy": 0.0}}
    (older / "result.json").write_text(json.dumps(content), encoding="utf-8")
    assert xlearn.records("outputs")["metrics.accuracy"].tolist() == [result.metrics["accuracy"]]
    assert "1 result(s) of an earlier version are left out" in capsys.readouterr().err


def test_an_override_may_take_a_key_out(toy):
    overrides, folder = words(toy)
    assert "label_smoothing" not in xlearn.run(*overrides, "~objective.label_smoothing", config_dirs=folder).config["objective"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: xlearn.run("transfer=fintune"), "transfer=fintune.*Did you mean 'finetune'"),
        (lambda: xlearn.run("transfer=finetune,kd"), "transfer"),
        (lambda: xlearn.run("-m", "seed=0"), "'-m' is no override such as 'target.shots=5'"),
        (lambda: xlearn.run("seed=0", config_dirs="nowhere"), "config_dirs nowhere: there is no such folder"),
        (lambda: xlearn.read("nowhere"), r"nowhere holds no result.json. Name the folder of a finished run"),
        (lambda: xlearn.records("nowhere"), "nowhere: there is no run"),
        (lambda: xlearn.records(), "records: name a folder"),
        (lambda: xlearn.show("transfer=fintune"), "transfer=fintune: there is no such option"),
        (lambda: xlearn.load_task("optdigit"), "Did you mean 'optdigits'"),
        (lambda: xlearn.load_task("optdigits", shot=5), "Did you mean 'shots'"),
        (lambda: xlearn.load_task("optdigits", shots="many"), "shots"),
    ],
)
def test_wrong_words_are_told_in_a_sentence(call, told):
    with pytest.raises(Problem, match=told):
        call()


def test_a_folder_of_runs_is_no_run(toy):
    overrides, folder = words(toy)
    result = xlearn.run(*overrides, config_dirs=folder)
    with pytest.raises(Problem, match=rf"outputs holds no result.json. There is outputs/default/{result.folder.name}."):
        xlearn.read("outputs")


def test_show_prints_what_the_command_prints(capsys):
    from xlearn.commands.show import main as show

    xlearn.show("transfer=lp_ft", "fusion")
    printed = capsys.readouterr().out
    assert show(["transfer=lp_ft", "fusion"]) == 0 and capsys.readouterr().out == printed
