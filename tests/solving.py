"""A toy phase, and solving it."""

from functools import partial

import torch
import toys

from xlearn.balance.equal import equal
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import TaskSource, prepare
from xlearn.networks.network import tensors
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.phase import Phase
from xlearn.phases.solve import solve as solve_phase
from xlearn.runtime.cache import weights_digest
from xlearn.schedules.constant import constant


def task(**options):
    source = TaskSource("blobs", "target", toys.blobs, {}, TaskOptions(**options))
    return prepare(source, toys.image_format(), 0)


def phase(**values):
    defaults = {
        "name": "learn", "position": 0, "reads": "target", "modalities": None, "trainable": None,
        "taught_by": None, "begins": None, "merge": None, "solver": None, "views": (), "base_learner": None, "kind": None,
        "objectives": (partial(CrossEntropy),),
        "balance": partial(equal), "optimizer": partial(torch.optim.Adam, lr=0.01, fused=True),
        "schedule": partial(constant), "augment": (), "batch_size": 16, "balanced": False, "epochs": None, "steps": 40,
        "patience": None, "stop_below": None, "keep": "last", "tasks": "all", "temperature": 1.0, "common": True,
    }  # fmt: skip
    made = {**defaults, **values}
    return Phase(**made, document={"values": repr(sorted(made.items(), key=str))})


def solve(folder, which, *, given=None, network=None, **options):
    given = given or task()
    network = network or toys.network(given.train)
    lines = []
    setting = toys.setting(folder, report=lines.append, **options)
    incoming = weights_digest(tensors(network))
    entry = solve_phase(network, which, {"source": {}, "target": {"target": given}}, frozenset(), incoming, setting)
    return network, entry, lines
