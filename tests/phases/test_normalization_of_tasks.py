"""Statistics of batch normalisation of several tasks in one network: shared, private, in every sharing."""

import pytest
import torch
from torch import nn
from toys.modalities import IMAGE, TABLE, random_task
from toys.normalization import conv_network, in_training_mode, need_same, pooled, whole
from toys.phases import CPU, phase, solve
from toys.sharings import SHARINGS
from toys.tasks import shifted_tasks

from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network
from xlearn.networks.statistics import estimated, normalisations, statistics
from xlearn.runtime.hashing import derive
from xlearn.sharing.together import alone, join
from xlearn.trunks.mlp import MlpTrunk


def joint_network(tasks, sharing, kind="shared"):
    made = conv_network(tasks["target"].train)
    for task in tasks.values():
        made.head[task.labels.key] = nn.Linear(8, len(task.labels.classes))
    torch.manual_seed(1)
    join(made, SHARINGS[sharing], tasks, kind)
    for module in normalisations(made):
        module.momentum = 0.01
    return made


def joint_tasks():
    roles = shifted_tasks(shots=10)
    return roles, {**roles["source"], **roles["target"]}


def test_tasks_in_one_network_pool_equal_numbers(tmp_path):
    roles, tasks = joint_tasks()
    network, entry, _ = solve(tmp_path, phase(reads="both", steps=6), roles=roles, network=joint_network(tasks, "hard"), seed=3)
    few = len(tasks["target"].train)
    source = next(role for role in tasks if role != "target")
    assert few < len(tasks[source].train)
    assert entry.report["normalization_statistics"] == {"kind": "exact", "examples": {"target": few, source: few}}
    generator = torch.Generator().manual_seed(derive(3, "statistics", source))
    sample = tasks[source].train.subset(torch.randperm(len(tasks[source].train), generator=generator)[:few])
    need_same(network, in_training_mode(network, pooled(tasks["target"].train, sample)), tasks["target"].val)


@pytest.mark.parametrize(("sharing", "kind"), [("none", "shared"), ("hard", "task"), ("branch", "shared")])
def test_private_normalisations_have_the_statistics_of_their_task(sharing, kind):
    """`branch` shares the first block: its normalisation pools, the second of each task has its own."""
    _, tasks = joint_tasks()
    network = joint_network(tasks, sharing, kind)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    chosen = {role: task.train.subset(torch.arange(len(tasks["target"].train))) for role, task in tasks.items()}
    assert estimated(network, chosen, CPU) == len(tasks["target"].train)
    for role, task in tasks.items():
        own = alone(network, role, task.labels.key)
        if sharing != "branch":
            need_same(own, in_training_mode(own, whole(chosen[role])), task.val)
            continue
        mixed = in_training_mode(own, pooled(chosen[role], *(chosen[other] for other in tasks if other != role)))
        first, second = own.encoder["image"].blocks
        torch.testing.assert_close(statistics(own)[0], statistics(mixed)[0], rtol=1e-4, atol=1e-5)
        # In training mode a batch is normalised by its variance without Bessel's correction.
        first[-1].running_var *= 1 - 1 / (len(chosen[role]) * len(chosen))
        with torch.no_grad():
            x = second[0](first(own.encoder["image"].pixels(chosen[role].inputs["image"]).flatten(1)))
            x = second[1:-1](x)
        torch.testing.assert_close(statistics(own)[1], (x.mean(0), x.var(0)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_every_sharing_reaches_a_fixed_point(sharing):
    """With the statistics estimated once more nothing changes, also where tasks call a normalisation in turns (stitched units),
    or evaluate that of an earlier task (progressive columns).
    """
    _, tasks = joint_tasks()
    network = joint_network(tasks, sharing)
    chosen = {role: task.train.subset(torch.arange(30)) for role, task in tasks.items()}
    assert estimated(network, chosen, CPU) in (30, 60)
    found = statistics(network)
    assert all(bool(mean.any()) for mean, _ in found)
    estimated(network, chosen, CPU)
    for one, other in zip(found, statistics(network), strict=True):
        torch.testing.assert_close(one, other)


def test_tasks_of_other_modalities_meet_in_the_trunk():
    """The encoders have statistics of their own task, the trunk those of both."""
    torch.manual_seed(0)
    spec = {"image": IMAGE, "tabular": TABLE}
    tasks = {
        name: random_task(role, [each], count=30) for (name, each), role in zip(spec.items(), ("one", "target"), strict=True)
    }
    encoders = {"image": Mlp(IMAGE, widths=[8]), "tabular": TabularMlp(TABLE, widths=[8])}
    for encoder in encoders.values():
        encoder.blocks.append(nn.BatchNorm1d(8))
    heads = {task.labels.key: nn.Linear(6, 3) for task in tasks.values()}
    trunk = MlpTrunk(8, widths=[6], normalisation="batch")
    network = Network(encoders, Mean(dict.fromkeys(encoders, 8), width=8), heads, trunk)
    assert estimated(network, {task.train.task: task.train for task in tasks.values()}, CPU) == 30
    before = []
    with torch.no_grad():
        for name, task in tasks.items():
            own = in_training_mode(network, whole(task.train))
            norm, expected = network.encoder[name].blocks[-1], own.encoder[name].blocks[-1]
            torch.testing.assert_close(norm.running_mean, expected.running_mean, rtol=1e-4, atol=1e-5)
            before.append(network.fusion(network.tokens(whole(task.train))))
    linear, norm = (
        next(each for each in network.trunk.modules() if isinstance(each, kind)) for kind in (nn.Linear, nn.BatchNorm1d)
    )
    x = linear(torch.cat(before))
    torch.testing.assert_close(norm.running_mean, x.mean(0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(norm.running_var, x.var(0), rtol=0.04, atol=1e-3)  # without Bessel below
