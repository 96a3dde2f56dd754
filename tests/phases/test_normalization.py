"""Statistics of batch normalisation at the end of a phase: against one batch in training mode of the phase's own examples."""

from functools import partial

import pytest
import torch
from toys.normalization import conv_network, in_training_mode, need_same, pooled, whole
from toys.phases import CPU, adapting, phase, solve, solve_adapting
from toys.tasks import blobs_task, image_task, random_images, shifted_tasks

from xlearn.averaging._interpolate import interpolate
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.evaluate import logits
from xlearn.networks.network import load, tensors
from xlearn.networks.statistics import normalisations, statistics
from xlearn.phases.normalization import NormalizationStatistics
from xlearn.runtime.hashing import derive
from xlearn.trainable._frozen import frozen


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
