"""A bright source, a target of which few labels are known or none, and a phase that adapts."""

import copy
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import toys
from runs import toy_folder
from solving import phase

from xlearn.commands.train import execute
from xlearn.config.compose import choices, complete, composed, register
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import TaskSource, prepare
from xlearn.networks.network import tensors
from xlearn.objectives.self_training.entropy_min import EntropyMin
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.solve import solve as solve_phase
from xlearn.runtime import interrupt
from xlearn.runtime.cache import weights_digest


def given(shots=0, source=None, **target):
    """All tasks by role: blobs as the source, darker and noisier ones as the target."""

    def made(name, load, where, options):
        return prepare(TaskSource(name, where, load, {}, TaskOptions(**options)), toys.image_format(), 0)

    return {
        "source": {"blobs": made("blobs", toys.blobs, "source.blobs", source or {})},
        "target": {"target": made("dim", partial(toys.blobs, shift=50.0), "target", {"shots": shots, **target})},
    }


def adapting(**values):
    """Cross-entropy of what has labels, and the entropy of what has none."""
    objectives = (partial(CrossEntropy), partial(EntropyMin, weight=0.5))
    keep = values.pop("keep", "last")
    made = phase(**{"name": "adapt", "reads": "everything", "objectives": objectives, **values})
    # As in a document of configurations, where it has a place of its own.
    return replace(made, keep=keep, document={**made.document, "keep": keep})


def solve(folder, which, roles=None, network=None, **options):
    """(the network afterwards, the entry, the lines that were reported)."""
    roles = roles or given()
    network = network or toys.network(roles["target"]["target"].unlabeled)
    lines = []
    setting = toys.setting(folder, **{"report": lines.append, **options})
    entry = solve_phase(network, which, roles, frozenset(), weights_digest(tensors(network)), setting)
    return network, entry, lines


def same(one, other):
    """Whether all tensors of two mappings have the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def stopped_at(monkeypatch, step):
    """Within, SIGINT comes after this many steps."""
    plain, count = interrupt.asked, iter(range(1, 10**6))

    def asked():
        if next(count) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return plain()

    with monkeypatch.context() as patched, interrupt.listening():
        patched.setattr(interrupt, "asked", asked)
        yield


class Runs:
    """Runs of one folder, without Hydra's: composed once for the same words, and changed in some values."""

    def __init__(self, folder, words):
        self.folder, self.toy, self.words, self.composed = folder, toy_folder(folder), words, {}
        register([Path(self.toy[1])])

    def __call__(self, *words, keep=None, **target):
        """(the folder of the run, its result). `keep`: of the transfer's phases; `target`: options of the target."""
        if words not in self.composed:
            config = composed([*self.toy[2:], *self.words, *words], [Path(self.toy[1])])
            self.composed[words] = {**complete(config), "choices": choices(config.hydra)}
        config = copy.deepcopy(self.composed[words])
        config["target"] |= target
        for node in config["transfer"]["phases"].values() if keep else ():
            node["keep"] = keep
        path = self.folder / f"run{len(list(self.folder.glob('run*')))}"
        path.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(self.folder)
            patched.setenv("XLEARN_CACHE", str(self.folder / "cache"))
            return path, execute(config, path, False)
