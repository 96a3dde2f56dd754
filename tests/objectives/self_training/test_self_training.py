"""Self-training: entropies, pseudo-labels and FixMatch; a resumed phase is the same, and wrong values are refused."""

import math
from dataclasses import replace

import pytest
import scipy.stats
import torch
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of, normalised_context
from toys.phases import CPU, adam_update

from xlearn.data.batches import Batches
from xlearn.data.task import ImageSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import tensors
from xlearn.objectives.self_training.entropy_min import EntropyMin, information_loss
from xlearn.objectives.self_training.fixmatch import FixMatch
from xlearn.objectives.self_training.mean_teacher import MeanTeacher
from xlearn.objectives.self_training.pseudo_label import PseudoLabel
from xlearn.objectives.self_training.pseudo_labels import confident
from xlearn.objectives.self_training.shot import Shot
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

# Entropies


@pytest.mark.parametrize("diversity", [0.0, 1.0, 0.3])
def test_entropies_are_scipys(diversity):
    logits = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) * 3
    chances = scipy.special.softmax(logits.double().numpy(), axis=1)
    expected = scipy.stats.entropy(chances, axis=1).mean() - diversity * scipy.stats.entropy(chances.mean(0))
    assert information_loss(logits, diversity).item() == pytest.approx(expected, abs=1e-5)


def test_entropy_by_hand_and_its_limits():
    # (1/2, 1/2) has log 2, (1, 0) has 0.
    logits = torch.tensor([[0.0, 0.0], [50.0, -50.0]])
    assert information_loss(logits, 0).item() == pytest.approx(math.log(2) / 2)
    # Sure, and of each class equally often: minus the entropy of the classes.
    sure = torch.eye(4) * 1000
    assert information_loss(sure, 1).item() == pytest.approx(-math.log(4))
    # Says the same of everything: no information, whatever it says.
    assert information_loss(torch.tensor([[1.0, 0.0, 2.0]] * 5), 1).item() == pytest.approx(0, abs=1e-6)
    sure.requires_grad_()
    information_loss(sure, 1).backward()
    assert sure.grad.isfinite().all()


def test_entropy_min_weighs_and_a_step_down_makes_it_surer():
    context, net = adaptation_context()
    given = batch_of(context)
    objective = EntropyMin(context, weight=0.5)
    assert objective.unlabeled
    [loss] = objective(net, given).values()
    assert loss.item() == pytest.approx(0.5 * information_loss(net(given[UNLABELED]), 0).item())
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= 0.1 * parameter.grad
    assert objective(net, batch_of(context))["entropy_min"] < loss


# Pseudo-labels


def test_confident_by_hand():
    logits = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]).log()
    labels, mask = confident(logits.requires_grad_(), 0.7 - 1e-6)
    assert labels.tolist()[:2] == [0, 1] and mask.tolist() == [True, True, False]
    assert confident(logits, 0.0)[1].all() and not confident(logits, 1.0)[1].any()


def fixed(context, logits):
    """The network with a head that gives these logits for the first examples of the target, whatever the features."""
    [head] = context.network.head.values()
    head.forward = lambda features: logits + 0 * features.sum()
    return context.network


def test_pseudo_label_by_hand_with_its_ramp():
    context, _ = adaptation_context(steps=8)
    logits = torch.tensor([[0.95, 0.03, 0.02], [0.4, 0.3, 0.3]]).log()
    net, given = fixed(context, logits), batch_of(context, 2)
    objective = PseudoLabel(context, weight=2.0, threshold=0.9, ramp=0.5)
    full = 2.0 * -math.log(0.95) / 2  # the second is not sure, and counts in the mean
    for step in range(6):
        assert objective(net, given)["pseudo_label"].item() == pytest.approx(full * min(1, step / 4), abs=1e-7)
        objective.follow(net)
    assert PseudoLabel(context, threshold=0.9, ramp=0, weight=2.0)(net, given)["pseudo_label"].item() == pytest.approx(
        full, rel=1e-5
    )


def test_labels_carry_no_gradient():
    # d/dz of CE to a label that is held: p - onehot.
    logits = torch.tensor([[2.0, 0.0, 0.0]], requires_grad=True)
    context, _ = adaptation_context()
    net = fixed(context, logits)
    PseudoLabel(context, threshold=0.5, ramp=0)(net, batch_of(context, 1))["pseudo_label"].backward()
    expected = logits.detach().softmax(1) - functional.one_hot(torch.tensor([0]), 3)
    assert logits.grad == pytest.approx(expected)


def test_fixmatch_is_the_cross_entropy_of_the_strong_view_to_the_weak_ones_labels(monkeypatch):
    context, net = adaptation_context()
    given = batch_of(context, 8)
    darker = replace(given[UNLABELED], inputs={"image": given[UNLABELED].inputs["image"] // 2}, memo={})
    monkeypatch.setattr("xlearn.objectives.self_training.fixmatch.weak", lambda batch: replace(batch, memo={}))
    monkeypatch.setattr("xlearn.objectives.self_training.fixmatch.strong", lambda batch: darker)
    chances = net(given[UNLABELED]).softmax(1)
    threshold = chances.max(1).values.median().item()
    sure = chances.max(1).values >= threshold
    assert 0 < sure.sum() < 8
    each = functional.cross_entropy(net(replace(darker, memo={})), chances.argmax(1), reduction="none")
    expected = 3.0 * each[sure].sum() / 8
    found = FixMatch(context, weight=3.0, threshold=threshold)(net, given)["fixmatch"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    wanted = torch.autograd.grad(expected, [*net.parameters()])
    for one, other in zip(torch.autograd.grad(found, [*net.parameters()]), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", [FixMatch, MeanTeacher, Shot])
def test_a_gradient_reaches_the_encoder_in_any_precision(made, precision):
    # Weights that autocast has cast without a gradient must not be taken for the pass with one.
    context, net = adaptation_context()
    objective = FixMatch(context, threshold=0) if made is FixMatch else made(context)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        sum(objective(net, batch_of(context)).values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


# Through the loop


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
    with pytest.raises(Problem, match="reads none. Set reads: everything"):
        made(replace(context, tasks={"source": context.tasks["source"]}))
    assert isinstance(context.tasks["source"].inputs["image"], ImageSpec)
    made(replace(context, tasks={UNLABELED: context.tasks[UNLABELED]}))  # the source need not be there
