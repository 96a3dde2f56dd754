"""Statistics of batch normalisation at the end of a phase: against one batch in training mode of the phase's own examples."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from toys.modalities import IMAGE, TABLE, random_task
from toys.networks import normalised_network
from toys.phases import CPU, adapting, phase, solve, solve_adapting
from toys.sharings import SHARINGS
from toys.tasks import blobs_task, image_task, random_images, shifted_tasks

from xlearn.averaging._interpolate import interpolate
from xlearn.data.unlabeled import UNLABELED
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.mean import Mean
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network, load, tensors
from xlearn.networks.statistics import estimated, normalisations, statistics
from xlearn.phases.normalization import NormalizationStatistics
from xlearn.runtime.hashing import derive
from xlearn.sharing.together import alone, join
from xlearn.trainable._frozen import frozen
from xlearn.trunks.mlp import MlpTrunk


def in_training_mode(network, *batches):
    """A copy, normalised by hand: torch's own statistics of one batch in training mode (momentum 1) of each network part."""
    made = copy.deepcopy(network).eval()
    for module in normalisations(made):
        module.momentum = 1.0
        module.train()
    with torch.no_grad():
        for batch in batches:
            made.features(batch)
    return made.eval()


def whole(examples):
    return examples.take(torch.arange(len(examples)))


def need_same(network, other, examples):
    for (mean, variance), (own_mean, own_variance) in zip(statistics(network), statistics(other), strict=True):
        torch.testing.assert_close(mean, own_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(variance, own_variance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits(network, examples, CPU), logits(other, examples, CPU), rtol=1e-4, atol=1e-4)


def conv_network(given, momentum=0.01):
    """Two normalisations behind each other, with the small momentum of published networks."""
    made = normalised_network(given)
    made.encoder["image"].blocks[1].append(nn.BatchNorm1d(8))
    for module in normalisations(made):
        module.momentum = momentum
    return made


def test_a_phase_ends_with_the_statistics_of_its_final_weights(tmp_path):
    task = blobs_task()
    network, entry, _ = solve(tmp_path, phase(steps=12), given=task, network=conv_network(task.train))
    assert entry.report["normalization_statistics"] == {"kind": "exact", "examples": {"target": len(task.train)}}
    need_same(network, in_training_mode(network, whole(task.train)), task.val)
    # The running ones are still near their start, a mean of 0.
    other, entry, _ = solve(tmp_path, phase(steps=12), given=task, network=conv_network(task.train), statistics="running")
    assert entry.report["normalization_statistics"] == {"kind": "running"}
    weights = {name: value for name, value in network.state_dict().items() if "running" not in name}
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in weights.items())
    (mean, _), (own, _) = statistics(other)[0], statistics(network)[0]
    assert float(mean.norm()) < 0.2 * float(own.norm())


@pytest.mark.parametrize(("rows", "kind"), [(19, "running"), (20, "exact")])
def test_few_examples_leave_the_running_statistics(tmp_path, rows, kind):
    given = random_images(rows)
    network, entry, _ = solve(tmp_path, phase(steps=3), given=image_task(given), network=conv_network(given))
    assert entry.report["normalization_statistics"]["kind"] == kind
    assert ("19 examples" in entry.report.get("note", "")) == (kind == "running")
    running, _, _ = solve(tmp_path, phase(steps=3), given=image_task(given), network=conv_network(given), statistics="running")
    assert torch.equal(statistics(network)[0][0], statistics(running)[0][0]) == (kind == "running")


@pytest.mark.parametrize(
    ("steps", "batch", "rows", "expected"),
    [(10, 16, 5000, 256), (10, 16, 100, 100), (400, 16, 5000, 640), (10_000, 64, 5000, 2048)],
)
def test_a_sample_of_a_tenth_of_what_was_read(monkeypatch, steps, batch, rows, expected):
    read = {"target": random_images(rows)}
    network = conv_network(read["target"])
    found = NormalizationStatistics("exact", network, read, False, tensors(network), batch, 0, CPU)
    monkeypatch.setattr(found, "_moved", lambda: normalisations(network))
    assert found.finish(steps)["normalization_statistics"]["examples"] == {"target": expected}


def test_interpolated_weights_have_statistics_of_their_own(tmp_path):
    task = blobs_task()
    start = conv_network(task.train)
    before = tensors(start)
    merging = phase(steps=8, merge=partial(interpolate, alpha=0.5))
    network, _, _ = solve(tmp_path, merging, given=task, network=start)
    need_same(network, in_training_mode(network, whole(task.train)), task.val)
    # At alpha 0 nothing moved: these are the initial weights and statistics.
    nothing = conv_network(task.train)
    load(nothing, before)
    solve(tmp_path, phase(steps=8, merge=partial(interpolate, alpha=0.0)), given=task, network=nothing)
    assert all(torch.equal(value, before[name]) for name, value in tensors(nothing).items() if "batches_tracked" not in name)


def test_selection_by_validation_reads_exact_statistics_and_leaves_training_alone(tmp_path):
    """Each look scores the weights as the phase would return them; the weights of every step are those without looks."""
    task = blobs_task()
    lines = {}
    for keep, evaluations in (("best_target", 4), ("best_target", 2), ("last", 1)):
        start = conv_network(task.train)
        network, _, lines[keep, evaluations] = solve(
            tmp_path, phase(steps=8, keep=keep), given=task, network=start, evaluations=evaluations
        )
        need_same(network, in_training_mode(network, whole(task.train)), task.val)
    four, two = lines["best_target", 4], lines["best_target", 2]
    assert two[0]["losses"]["target"] == pytest.approx((four[0]["losses"]["target"] + four[1]["losses"]["target"]) / 2)
    assert four[1]["target_val_accuracy"] == two[0]["target_val_accuracy"]
    assert four[-1]["target_val_accuracy"] == pytest.approx(_accuracy(tmp_path, task))


def _accuracy(folder, task):
    """On the validation split, of a phase of 8 steps that keeps its last weights."""
    network, _, _ = solve(folder, phase(steps=8), given=task, network=conv_network(task.train))
    return float((logits(network, task.val, CPU).argmax(1) == task.val.labels).float().mean())


@pytest.mark.parametrize("patterns", [["encoder.*"], ["*.3.*"]])
def test_nothing_moves_where_normalisation_did_not_train(tmp_path, patterns):
    """A probe, and frozen normalisations between layers that train."""
    task = blobs_task()
    network = conv_network(task.train)
    for module in normalisations(network):
        module.running_mean.uniform_(-1, 1)
    before = statistics(network)
    _, entry, _ = solve(tmp_path, phase(steps=3, trainable=partial(frozen, patterns=patterns)), given=task, network=network)
    assert all(torch.equal(one[0], other[0]) for one, other in zip(before, statistics(network), strict=True))
    assert "normalization_statistics" not in entry.report


def test_a_phase_that_adapts_takes_equal_numbers_of_all_that_it_reads(tmp_path):
    roles = shifted_tasks()
    source, target = roles["source"]["blobs"], roles["target"]["target"]
    start = conv_network(source.train)
    network, entry, _ = solve_adapting(tmp_path, adapting(steps=4), roles=roles, network=start)
    read = entry.report["normalization_statistics"]["examples"]
    assert read.keys() == {"blobs", UNLABELED} and len({*read.values()}) == 1
    assert entry.report["normalization_statistics"]["kind"] == "exact"
    samples = {}
    for role, examples in (("blobs", source.train), (UNLABELED, target.unlabeled)):
        generator = torch.Generator().manual_seed(derive(0, "statistics", role))
        rows = torch.randperm(len(examples), generator=generator)[: read[role]]
        samples[role] = examples if len(examples) == read[role] else examples.subset(rows)
    need_same(network, in_training_mode(network, pooled(*samples.values())), target.val)


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


def pooled(task, *others):
    """One batch of the images of several tasks."""
    images = torch.cat([each.inputs["image"] for each in (task, *others)])
    return replace(whole(task), inputs={"image": images}, labels=torch.zeros(len(images), dtype=torch.int64))


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
