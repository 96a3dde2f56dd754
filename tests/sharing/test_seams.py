"""Where sharing meets the rest: statistics, memos, modules that torch reads by itself, single modalities."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.modalities import ENCODERS, network_for, random_task
from toys.sharings import SHARINGS, first_batches, joined, joint_losses

from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.each_modality import EachModality
from xlearn.runtime.errors import Problem
from xlearn.sharing.names import by_name
from xlearn.sharing.together import join


def test_statistics_of_each_task_go_with_attention_and_not_with_columns_of_all():
    network, tasks = joined("mtan", "resnet18", statistics="task")
    given = first_batches(tasks)
    torch.stack([*joint_losses(network.train(), given).values()]).sum().backward()
    assert not [name for name, each in network.named_parameters() if each.grad is None]
    with pytest.raises(Problem, match=r"joint\.statistics=task: under this sharing every column reads"):
        joined("cross_stitch", "resnet18", statistics="task")


def test_progressive_runs_every_earlier_column_once():
    network, tasks = joined("progressive")
    calls = []
    network.encoder["image"].pixels.register_forward_hook(lambda *_: calls.append(1))
    network(first_batches(tasks)["target"])
    assert len(calls) == 3


def test_a_network_does_not_take_over_what_another_made_of_common_inputs():
    network, tasks = joined("hard")
    teacher, _ = joined("hard", trunk=5)
    batch = first_batches(tasks)["target"]
    expected = teacher(batch)
    shared = replace(batch, memo={})
    network(shared)
    assert torch.equal(teacher(shared), expected)


def test_modules_that_torch_reads_without_calling_cannot_be_a_tasks_own():
    spec, build = ENCODERS["text_cnn"]
    tasks = {role: random_task(role, [spec]) for role in ("one", "target")}
    network = network_for(tasks, {"text": (spec, build)})
    network.fusion = torch.nn.ModuleDict({"layer": torch.nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)})
    network.fusion.forward = lambda tokens: network.fusion["layer"](tokens["text"].values)[:, 0]
    network.trunk.width = 8
    shared = partial(by_name, patterns=["encoder.*", "head.*", "fusion.layer.linear*", "fusion.layer.norm*", "*in_proj*"])
    with pytest.raises(Problem, match=r"out_proj cannot be private, because torch reads its parameters inside"):
        join(network, shared, tasks, "shared")


def test_every_modality_by_itself_is_of_the_task_too():
    """`each_modality` trains what each task has for itself, and copes with labels that are missing."""
    specs = {"image": ENCODERS["cnn"], "text": ENCODERS["text_cnn"]}
    kinds = [specs["image"][0], specs["text"][0]]
    for sharing in ("hard", "lora", "mmoe", "mtan", "cross_stitch"):
        tasks = {role: random_task(role, kinds) for role in ("one", "target")}
        network = network_for(tasks, specs, width=8)
        join(network, SHARINGS[sharing], tasks, "shared")
        given = first_batches(tasks)
        given["one"] = replace(given["one"], labels=given["one"].labels[:4], rows=torch.arange(4))
        context = PhaseContext(network, frozenset(), {})
        torch.stack([*EachModality(context)(network, given).values()]).sum().backward()
        assert not [name for name, each in network.named_parameters() if each.grad is None]
