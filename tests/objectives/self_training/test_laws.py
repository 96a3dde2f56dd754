"""What holds of every method of self-training: gradients, resuming, and what is refused."""

from dataclasses import replace

import pytest
import torch
from toys.contexts import adaptation_context, batch_of, normalised_context
from toys.phases import CPU, adam_update

from xlearn.data.batches import Batches
from xlearn.data.task import ImageSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import tensors
from xlearn.objectives.self_training.entropy_min import EntropyMin
from xlearn.objectives.self_training.fixmatch import FixMatch
from xlearn.objectives.self_training.mean_teacher import MeanTeacher
from xlearn.objectives.self_training.pseudo_label import PseudoLabel
from xlearn.objectives.self_training.shot import Shot
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", [FixMatch, MeanTeacher, Shot])
def test_a_gradient_reaches_the_encoder_in_any_precision(made, precision):
    # Weights that autocast has cast without a gradient must not be taken for the pass with one.
    context, net = adaptation_context()
    objective = FixMatch(context, threshold=0) if made is FixMatch else made(context)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        sum(objective(net, batch_of(context)).values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


@pytest.mark.parametrize(
    "made",
    [
        lambda context: EntropyMin(context, diversity=1.0), lambda context: PseudoLabel(context, threshold=0.3, ramp=1.0),
        lambda context: FixMatch(context, threshold=0.3), lambda context: MeanTeacher(context),
        lambda context: Shot(context, refreshes=3),
    ],
)  # fmt: skip
def test_a_resumed_phase_is_bit_identical(made):
    def run(stop=None, state=None):
        context, net = normalised_context(steps=8)
        read = {role: task.train for role, task in context.tasks.items()}
        main = [] if isinstance(objective := made(context), Shot) else [CrossEntropy(context)]
        update = adam_update([*main, objective], {name: Rate() for name, _ in net.named_parameters()})
        given = Batches(read, batch_size=16, seed=3)
        for record in fit(net, [update], given, steps=8, seed=1, machine=CPU, state=state):
            if record.step == stop:
                return record.state()
        return tensors(net), objective.state_dict() if isinstance(objective, torch.nn.Module) else {}

    through, kept = run()
    for stop in (3, 5):
        again, resumed = run(state=run(stop))
        assert all(torch.equal(value, again[name]) for name, value in through.items())
        assert all(torch.equal(value, resumed[name]) for name, value in kept.items())
    assert any(not torch.equal(value, through[name]) for name, value in tensors(normalised_context()[1]).items())


@pytest.mark.parametrize(
    "made, values, words",
    [
        (EntropyMin, {"weight": -1.0}, "entropy_min: weight=-1.0"), (EntropyMin, {"diversity": -1.0}, "entropy_min: diversity"),
        (PseudoLabel, {"weight": -1.0}, "pseudo_label: weight"), (PseudoLabel, {"threshold": 1.5}, "pseudo_label: threshold"),
        (PseudoLabel, {"ramp": 2.0}, "pseudo_label: ramp=2.0"), (FixMatch, {"threshold": -0.1}, "fixmatch: threshold=-0.1"),
        (FixMatch, {"weight": -1.0}, "fixmatch: weight"), (MeanTeacher, {"decay": 1.0}, "mean_teacher: decay=1.0"),
        (MeanTeacher, {"weight": -1.0}, "mean_teacher: weight"), (MeanTeacher, {"ramp": -1.0}, "mean_teacher: ramp"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(made, values, words):
    context, _ = adaptation_context()
    with pytest.raises(Problem, match=words):
        made(context, **values)


@pytest.mark.parametrize("made", [EntropyMin, PseudoLabel, FixMatch, MeanTeacher])
def test_a_phase_without_unlabelled_examples_is_refused(made):
    context, _ = adaptation_context()
    with pytest.raises(Problem, match="reads none. Set reads: .source, target, target.unlabeled"):
        made(replace(context, tasks={"source": context.tasks["source"]}))
    assert isinstance(context.tasks["source"].inputs["image"], ImageSpec)
    made(replace(context, tasks={UNLABELED: context.tasks[UNLABELED]}))  # the source need not be there
