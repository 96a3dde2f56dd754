"""Every sharing, and objectives that look at modules, where examples lack a modality: some, or all of a batch."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.modalities import AUDIO, IMAGE, MODALITIES, TEXT, network_for, random_task
from toys.sharings import SHARINGS, joint_losses

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.task import Batch
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.conv4 import Conv4
from xlearn.encoders.text_cnn import TextCnn
from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.match import Match
from xlearn.objectives.regularization.delta import Delta
from xlearn.runtime.errors import Problem
from xlearn.sharing.blocks import outputs
from xlearn.sharing.together import join

COUNT = 12
ENCODERS = {
    "image": (IMAGE, partial(Conv4, widths=[4, 4])),
    "text": (TEXT, partial(TextCnn, embedding=6, filters=4, kernels=[1, 2], dropout=0.0)),
}
# The pictures of the last examples only, the texts of the first.
PRESENT = {"image": torch.arange(COUNT) >= COUNT - 5, "text": torch.arange(COUNT) < 9}


def tasks_with_missing():
    found = {}
    for role in ("one", "two", "target"):
        task = random_task(role, [IMAGE, TEXT], count=COUNT)
        found[role] = replace(task, train=replace(task.train, present=PRESENT))
    return found


def other_placeholders(batch: Batch) -> Batch:
    """The same batch with another content in the place of missing modalities."""
    inputs = {}
    for name, given in batch.inputs.items():
        missing = ~batch.present[name]
        if isinstance(given, Sequences):
            inputs[name] = Sequences(given.values.masked_fill(missing[:, None], 7), given.mask | missing[:, None])
        else:
            inputs[name] = given.masked_fill(missing[:, None, None, None], 255)
    return replace(batch, inputs=inputs, memo={})


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_missing_modality_has_no_influence_on_tasks_in_one_network(sharing):
    found = []
    for change in (lambda batch: batch, other_placeholders):
        tasks = tasks_with_missing()
        network = network_for(tasks, ENCODERS, width=6, trunk=6)
        torch.manual_seed(1)
        join(network, SHARINGS[sharing], tasks, "shared")
        rows = {"one": torch.arange(COUNT), "two": torch.arange(6), "target": torch.arange(4, COUNT)}  # `two` has no picture
        batches = {role: change(task.train.take(rows[role])) for role, task in tasks.items()}
        losses = joint_losses(network.train(), batches)
        torch.stack([*losses.values()]).sum().backward()
        assert all(loss.isfinite() for loss in losses.values())
        state = {name: value.clone() for name, value in network.state_dict().items()}
        grads = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
        found.append({**losses, **state, **{f"grad {name}": grad for name, grad in grads.items()}})
    assert found[0].keys() == found[1].keys()
    assert [name for name in found[0] if not torch.equal(found[0][name], found[1][name])] == []


def test_shapes_are_those_of_examples_with_the_modality():
    tasks = tasks_with_missing()
    network = network_for(tasks, ENCODERS)
    # The two first examples have no picture, and the two last no text.
    found = outputs(network, tasks, ["encoder.image.blocks.0", "encoder.text.phrases"])
    assert sorted(found) == ["encoder.image.blocks.0", "encoder.text.phrases"]


def test_a_module_that_reads_one_length_after_the_other_is_refused():
    class ByLength(AudioCnn):
        def forward(self, sound):
            parts = [
                super(ByLength, self).forward(Sequences(*(each[row : row + 1] for each in sound))) for row in range(len(sound))
            ]
            return type(parts[0])(torch.cat([each.values for each in parts]), torch.cat([each.mask for each in parts]))

    tasks = {role: random_task(role, [AUDIO], count=COUNT) for role in ("one", "target")}
    network = network_for(tasks, {MODALITIES[type(AUDIO)]: (AUDIO, partial(ByLength, channels=[4], dense=6))})
    assert isinstance(tasks["one"].train.inputs["audio"], Ragged)
    with pytest.raises(Problem, match=r"encoder.audio.* reads the inputs of a batch one length after the other"):
        join(network, SHARINGS["mtan"], tasks, "shared")


@pytest.mark.parametrize("rows", [torch.arange(COUNT), torch.arange(6)], ids=["some", "no picture"])
def test_delta_compares_the_examples_that_are_read(rows):
    task = tasks_with_missing()["target"]
    network = network_for({"target": task}, ENCODERS)
    names = frozenset(name for name, _ in network.named_parameters())
    objective = Delta(PhaseContext(network, names, {}, tasks={"target": task}), attention=False)
    with torch.no_grad():
        for parameter in network.encoder.parameters():
            parameter.add_(0.1)
    found = []
    for change in (lambda batch: batch, other_placeholders):
        batch = change(task.train.take(rows))
        found.append(objective(network.eval(), {"target": batch})["target_delta"])
    assert float(found[0].detach()) > 0 and torch.equal(found[0], found[1])
    if bool(PRESENT["image"][rows].any()):
        objective = Delta(PhaseContext(network, names, {}, tasks={"target": task}), attention=True)
        assert objective(network, {"target": batch})["target_delta"].isfinite()


def test_matched_outputs_stand_at_the_places_of_their_examples():
    task = tasks_with_missing()["target"]
    student, teacher = (network_for({"target": task}, ENCODERS) for _ in range(2))
    path = "encoder.image.blocks.0"
    context = PhaseContext(student, frozenset(), {}, tasks={"target": task}, teachers=(teacher,))
    match = Match(context, "fitnets", [(path, path)])
    batch = replace(task.train.take(torch.arange(COUNT)), memo={})
    [(one, other, seen)] = match(student.eval(), batch)
    assert len(one) == len(other) == COUNT and torch.equal(seen, PRESENT["image"])
    expected = student.encoder["image"].blocks[0](student.encoder["image"].pixels(batch.inputs["image"][seen]))
    assert torch.equal(one[seen], expected) and not one[~seen].any()
