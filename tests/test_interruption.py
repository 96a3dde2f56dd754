"""SIGKILL, SIGINT and SIGTERM at commands that really run."""

import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from toys.runs import environment, only

from xlearn.runtime.storage import read_tensors


def run_until_killed(words, folder, after):
    """Start the command and kill it after so many seconds of training; True if it ended by itself."""
    command = [sys.executable, "-m", "xlearn", "train", *words, "checkpoint_seconds=0.05"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder / "cache"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    begun = time.monotonic()
    while process.poll() is None:
        if begun and list(folder.rglob("resume.pt")) and after is not None:
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.communicate()
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("draw", [0, 1, 2])
def test_killed_at_random_moments_it_ends_bit_identical(toy, tmp_path, draw):
    words = [*toy, "budget.transfer.steps=400", "budget.pretrain.epochs=200", "encoder.image.dropout=0.2", "batch_size=16"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert run_until_killed(words, whole, None) == 0
    times = random.Random(draw)
    kills = 0
    for _ in range(2 if draw == 0 else 6):
        if run_until_killed(words, broken, times.uniform(0, 1.5)) == 0:
            break
        kills += 1
    assert kills > 0
    assert run_until_killed(words, broken, None) == 0
    (one_folder, one), (other_folder, other) = only(whole / "outputs"), only(broken / "outputs")
    assert one["metrics"] == other["metrics"]
    assert one["baseline"]["metrics"] == other["baseline"]["metrics"]
    for file in ("weights.safetensors", "predictions.safetensors"):
        left, right = read_tensors(one_folder / file), read_tensors(other_folder / file)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_sigint_and_sigterm_save_and_leave_in_order(toy, tmp_path, number):
    words = [*toy, "budget.pretrain.epochs=100000"]
    command = [sys.executable, "-m", "xlearn", "train", *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not [*tmp_path.glob("outputs/*/*/metrics.jsonl"), *([1] if process.poll() is not None else [])]:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped in phase pretrain at step" in told
    assert "the same command resumes from there" in told
    assert "Traceback" not in told
    assert list(tmp_path.rglob("resume.pt"))
    assert not list(tmp_path.rglob("result.json"))
