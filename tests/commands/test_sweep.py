"""A sweep: its jobs, their order, the workers, and what a death costs."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import torch
from hydra import compose, initialize_config_dir
from toys.runs import environment, results

from xlearn.commands.jobs import jobs
from xlearn.commands.order import choose
from xlearn.commands.progress import duration
from xlearn.commands.sweep import is_sweep
from xlearn.commands.train import main
from xlearn.config.compose import choices, complete, register
from xlearn.config.folders import conf_folder
from xlearn.runtime.storage import read_tensors

FILES = ("weights.safetensors", "predictions.safetensors", "used.safetensors")
# What may differ between two computations of the same run.
OTHER = {"seconds", "peak_memory", "cached", "threads", "workers", "device"}


def command(toy, *words):
    """The words of a sweep on two workers."""
    return [*toy, "workers=2", *words]


def start(words, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "xlearn", "train", "-m", *words], cwd=folder, env=environment(folder / "cache"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def without(node, names=frozenset(OTHER)):
    """A result without what is not of its numbers."""
    if isinstance(node, dict):
        return {key: without(each, names) for key, each in node.items() if key not in names}
    return [without(each, names) for each in node] if isinstance(node, list) else node


def same(one: Path, other: Path) -> None:
    """The runs of both folders have the same weights, predictions, used rows and results."""
    left, right = results(one), results(other)
    assert [folder.name for folder in left] == [folder.name for folder in right]
    for (mine, result), (theirs, expected) in zip(left.items(), right.items(), strict=True):
        assert without(result) == without(expected)
        for name in FILES:
            a, b = read_tensors(mine / name), read_tensors(theirs / name)
            assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    "words",
    [
        ["seed=0,1", "target.shots=1,null", "optimizer.lr=0.01"],
        ["transfer=finetune,lp_ft", "optimizer=sgd,adam", "optimizer.lr=0.1,0.2"],
        ["seed=range(0,3)", "teacher/image=same,cnn", "target.shift=1.0,2.0"],
        ["source=[blobs,dim],blobs", "trainable@transfer.phases.finetune.trainable=head_only,slow_backbone"],
        ["transfer=glob(l*)", "augment=[],[crop]", "experiment=other"],
    ],
)
def test_jobs_are_those_that_hydra_would_compose(toy, words):
    folder = Path(toy[1])
    register([folder])
    swept = {}
    for word in [*toy[2:], *words]:
        key, _, value = word.partition("=")
        swept[key] = value
    found = jobs([*toy[2:], *words], [folder])
    assert len(found) > 1
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        for job in found:
            own = {word.partition("=")[0]: word for word in job.overrides}
            composed = compose(
                "train",
                overrides=[own.get(key, f"{key}={value}") for key, value in swept.items()]
                + [f"hydra.searchpath=[file://{folder}]"],
                return_hydra_config=True,
            )
            assert job.content == {**complete(composed), "choices": choices(composed.hydra)}
            assert job.folder == Path(composed.hydra.run.dir).absolute()


def test_which_commands_are_run_by_xlearn():
    assert is_sweep(["-m", "seed=0,1"]) and is_sweep(["seed=0,1", "--multirun", "--config-dir", "mine"])
    for words in (["seed=0"], ["-m", "hydra/launcher=joblib"], ["-m", "--cfg", "job"], ["-m", "hydra.launcher.n_jobs=2"]):
        assert not is_sweep(words)


class Toy(NamedTuple):
    name: str
    groups: frozenset[str]


def simulated(waiting: list[Toy], costs: dict[str, float], workers: int, choice) -> tuple[float, float]:
    """(seconds that workers waited for another one's phase, seconds until the end). A run computes its groups in turn."""
    waiting, done, computing = [*waiting], {}, {}
    free, waited, running = [0.0] * workers, 0.0, []
    while waiting:
        now = min(free)
        running = [each for each in running if each[0] > now]
        busy = {group for _, job in running for group in job.groups}
        job = waiting.pop(choice(waiting, busy, {group for group, end in done.items() if end <= now}))
        clock = now
        for group in sorted(job.groups):
            if group in computing and computing[group] > clock:
                waited += computing[group] - clock
                clock = computing[group]
            elif group not in computing:
                clock += costs[group[0]]
                computing[group] = done[group] = clock
        free[free.index(now)] = clock + 1
        running.append((clock + 1, job))
    return waited, max(free)


def test_nobody_waits_for_a_phase_that_another_worker_computes():
    """The 45 runs of the table of digits: 5 transfers, 3 numbers of labels, 3 seeds."""
    every = []
    for transfer, shots, seed in itertools.product(("scratch", "probe", "finetune", "lp_ft", "l2_sp"), (1, 5, 20), (0, 1, 2)):
        groups = {f"b{shots}{seed}"}
        groups |= {f"a{seed}"} if transfer != "scratch" else set()
        groups |= {f"p{shots}{seed}"} if transfer in ("probe", "lp_ft") else set()
        every.append(Toy(f"{transfer} {shots} {seed}", frozenset(groups)))
    costs = {"a": 8.0, "b": 1.0, "p": 0.5}
    waited, end = simulated(every, costs, 2, choose)
    in_order, later = simulated(every, costs, 2, lambda waiting, busy, done: 0)
    work = simulated(every, costs, 1, choose)[1]
    assert waited == 0 and in_order > 0
    assert end <= 1.1 * work / 2 and end <= later


def test_the_groups_of_real_runs(toy):
    register([Path(toy[1])])
    by_name = {
        " ".join(job.overrides): job.groups
        for job in jobs([*toy[2:], "transfer=scratch,finetune,linear_probe,lp_ft", "target.shots=1,2"], [Path(toy[1])])
    }
    one = {name.partition(" ")[0].partition("=")[2]: groups for name, groups in by_name.items() if name.endswith("=1")}
    assert one["scratch"] < one["finetune"]  # its baseline is the run without transfer
    assert one["linear_probe"] - one["scratch"] <= one["lp_ft"]  # the first phase of the longer chain
    two = by_name["transfer=finetune target.shots=2"]
    assert len(one["finetune"] & two) == 1  # the training of the source
    assert not one["scratch"] & by_name["transfer=scratch target.shots=2"]


def test_two_workers_make_the_same_runs_as_one(toy, tmp_path, monkeypatch, capsys):
    swept = ["transfer=scratch,finetune", "target.shots=2,3"]
    for name, words in (("one", [*toy, *swept]), ("two", command(toy, *swept))):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / name / "cache"))
        assert main(["-m", *words]) == 0
    same(tmp_path / "one" / "outputs", tmp_path / "two" / "outputs")
    out = capsys.readouterr().out
    assert "run 4 of 4: " in out and ", 2 in progress" in out and "4 runs in" in out and "4 computed" in out
    logs = [*(tmp_path / "two").rglob("log.txt")]
    assert len(logs) == 4
    assert main(["-m", *command(toy, *swept)]) == 0
    again = capsys.readouterr().out
    assert again.count("(done before)") == 4 and "4 done before" in again


def test_a_job_whose_process_dies_is_tried_once_more(toy, tmp_path, capsys):
    for name, always in (("once", False), ("always", True)):
        file = tmp_path / "own" / "task" / f"{name}.yaml"
        file.write_text(f"# Deadly\n_target_: toys.tasks.deadly\nmarker: {tmp_path / name}\nalways: {str(always).lower()}\n")
    words = command(toy, "target=dim,once,always")
    assert main(["-m", *words]) == 1
    told = capsys.readouterr()
    assert told.err.count("was ended by SIGKILL; it is tried once more at the end") == 2
    assert "error: target=always: its process was ended by SIGKILL, twice" in told.err
    assert {result["choices"]["target"] for result in results().values()} == {"dim", "once"}
    assert (tmp_path / "always").stat().st_size == 2
    [error] = Path("outputs").rglob("error.txt")
    assert "SIGKILL, twice" in error.read_text() and "Traceback" not in told.err


LONG = ["budget.transfer.steps=300", "budget.pretrain.epochs=100", "checkpoint_seconds=0.05", "batch_size=16"]


def workers_of(process) -> list[psutil.Process]:
    """The workers: the processes that the server of the command has forked."""
    try:
        servers = psutil.Process(process.pid).children()
        return [worker for server in servers for worker in server.children()]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_workers_killed_at_random_moments_change_no_bit(toy, tmp_path):
    words = [*command(toy, *LONG), "transfer=finetune,lp_ft", "seed=0,1"]
    (tmp_path / "whole").mkdir()
    assert start(words, tmp_path / "whole").wait() == 0
    draw = random.Random(0)
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(words, folder)
        while not list(folder.rglob("resume.pt")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2))
        if alive := workers_of(process):
            draw.choice(alive).send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        same(tmp_path / "whole" / "outputs", folder / "outputs")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stopped_sweep_is_resumed_by_the_same_command(toy, tmp_path, number):
    words = [*command(toy, *LONG), "seed=0,1,2", "budget.pretrain.epochs=100000"]
    process = start(words, tmp_path)
    while len(list(tmp_path.rglob("resume.pt"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    # Ctrl-C in a terminal reaches the whole group.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped; the same command resumes from there." in err and "Traceback" not in err + out
    assert "2 interrupted" in out and "1 not begun" in out
    assert len(list(tmp_path.rglob("resume.pt"))) == 2 and not list(tmp_path.rglob("result.json"))
    assert not workers_of(process)


@pytest.mark.slow
def test_workers_end_with_their_parent(toy, tmp_path):
    process = start([*command(toy, *LONG), "seed=0,1,2", "budget.pretrain.epochs=100000"], tmp_path)
    while len(list(tmp_path.rglob("resume.pt"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    alive = workers_of(process)
    assert len(alive) == 2
    process.kill()
    psutil.wait_procs(alive, timeout=25)
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_two_commands_at_once_write_one_result(toy, tmp_path):
    """The same run: one process writes, the other waits and finds the result."""
    words = [sys.executable, "-m", "xlearn", "train", *toy, "budget.pretrain.epochs=60"]
    both = [
        subprocess.Popen(
            words, cwd=tmp_path, env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [each.communicate() for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    [folder] = results(tmp_path / "outputs")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["phase"] == "scratch"
    assert sum("waiting for process" in out for out, _ in told) == 1
    assert sum("already done" in out for out, _ in told) == 1


def test_what_is_wrong_for_all_jobs_is_told_before_any(toy, capsys):
    for words, told in (
        (["-m", "seed=0,1", "workers=0"], "workers=0: give 1 or more"),
        (["-m", "seed=0,1", "workers=1,2"], "workers has several values, but is a setting"),
        (["-m", "device=cuda:0,cuda:1"], "write devices=[...]"),
        (["-m", "seed=0,1", "devices=[]"], "devices=[]: name at least one"),
        (["-m", "seed=0,1", "target.shotz=1"], "target.shotz"),
        (["-m", "batch_size=4,high"], "batch_size"),
    ):
        assert main([*toy, *words]) == 1
        err = capsys.readouterr().err
        assert told in err and "Traceback" not in err
    assert not list(Path("outputs").rglob("metrics.jsonl"))


def test_the_table_at_the_end(toy, capsys):
    from xlearn.cli import main as door

    with pytest.raises(SystemExit) as left:
        door(["train", *toy, "-m", "transfer=scratch,finetune", "target.shots=2,3", "seed=0,1"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "| transfer " in out and "| target.shots=2 " in out and "| finetune " in out


def test_lengths_of_time():
    assert [duration(each) for each in (0.1, 1, 59, 89, 91, 3600, 5300, 5500)] == [
        "1 second", "1 second", "59 seconds", "89 seconds", "2 minutes", "60 minutes", "88 minutes", "2 hours",
    ]  # fmt: skip
