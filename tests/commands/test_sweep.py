"""A sweep on workers: the bits of one process, and what a death costs."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from toys.runs import environment, results
from toys.sweeps import LONG, command, same, start, workers_of

from xlearn.commands import workers
from xlearn.commands.jobs import job_of
from xlearn.commands.train import main


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


@pytest.mark.slow
def test_workers_killed_at_random_moments_change_no_bit(toy, tmp_path):
    words = [*command(toy, *LONG), "transfer=finetune,lp_ft", "seed=0,1"]
    (tmp_path / "whole").mkdir()
    whole = start(words, tmp_path / "whole")
    whole.communicate()
    assert whole.returncode == 0
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
    process.communicate()
    psutil.wait_procs(alive, timeout=25)
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
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


@pytest.mark.parametrize("count", [1, 3])
def test_jobs_that_depend_on_finished_jobs_are_not_forgotten(monkeypatch, count):
    """A search that is repeated: all runs are finished, and each trial is proposed only after an earlier one."""
    monkeypatch.setattr(workers, "finished", lambda folder, content: {"a": "result"})
    monkeypatch.setattr(workers, "told", lambda result: "")
    begun, ended = [], []

    def more():
        while len(begun) < 20 and len(begun) < len(ended) + 8:
            begun.append(job_of({"force": False, "transfer": {}}, Path(str(len(begun))), ()))
            yield begun[-1]

    for job, outcome in workers.Sweep(more, count, [None], "").outcomes():
        ended.append((job.folder.name, outcome.kind))
    assert ended == [(str(number), "cached") for number in range(20)]


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
