"""Sweeps as processes, their workers, and what two computations of the same runs have in common."""

import subprocess
import sys
from pathlib import Path

import psutil
import torch

from toys.runs import environment, results
from xlearn.runtime.storage import read_tensors

FILES = ("weights.safetensors", "predictions.safetensors")
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


LONG = ["budget.transfer.steps=300", "budget.pretrain.epochs=100", "checkpoint_seconds=0.05", "batch_size=16"]


def workers_of(process) -> list[psutil.Process]:
    """The workers: the processes that the server of the command has forked."""
    try:
        servers = psutil.Process(process.pid).children()
        return [worker for server in servers for worker in server.children()]
    except psutil.NoSuchProcess:
        return []
