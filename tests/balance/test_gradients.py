"""The seam of all balances by gradients, on networks."""

import io
from functools import partial

import pytest
import torch
from toys.balances import BY_GRADIENTS, NETWORK, made, roles
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import SPEC, random_images

from xlearn.balance import Backward
from xlearn.balance._equal import equal
from xlearn.balance.famo import Famo
from xlearn.balance.gradients import Gradients
from xlearn.balance.gradnorm import GradNorm
from xlearn.data.batches import Batches
from xlearn.encoders.cnn import Cnn
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network, tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.phases.update import Update
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

# The seam, on networks.

TARGET, SOURCE = random_images(40), random_images(40, classes=4, seed=0)


def network(kind="mlp", dropout=0.0):
    if kind == "mlp":
        found = image_network(TARGET, dropout)
    else:
        torch.manual_seed(0)
        found = Network({"image": Cnn(SPEC, widths=[8, 4, 8], dense=8)}, Concat({"image": 8}), {})
        found.head[TARGET.space.key] = torch.nn.Linear(8, 3)
    found.head[SOURCE.space.key] = torch.nn.Linear(8, 4)
    return found.to(memory_format=torch.channels_last)


def losses(net, common=True):
    torch.manual_seed(0)
    memo = {} if common else None
    found = {}
    for role, examples in (("target", TARGET), ("s1", SOURCE)):
        batch = Batches({role: examples}, batch_size=16, seed=3)(0)[role]
        batch.memo, batch.task = memo, role
        found[role] = torch.nn.functional.cross_entropy(net(batch), batch.labels)
    return {**found, "l2": sum(each.square().sum() for each in net.parameters())}


def grads(net):
    return {name: each.grad.clone() for name, each in net.named_parameters()}


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("at", ["parameters", "features"])
def test_the_seam_is_autograd_of_the_weighted_losses_and_heads_keep_their_own(at, kind):
    net = network(kind)
    gradients = Gradients(["target", "s1"], at, net)
    seen = []

    def weigh(gramian, names):
        seen.append((gramian, names))
        return torch.tensor([2.0, -0.5])

    found = gradients(losses(net), Backward(net, [*net.parameters()]), weigh)
    assert found == {"target": 2, "s1": -0.5} and seen[0][1] == ["target", "s1"]
    ours = grads(net)
    for name, parameter in net.named_parameters():
        assert parameter.grad.stride() == parameter.stride(), name
        given = losses(net)
        factors = (1.0, 1.0) if name.startswith("head.") else (2.0, -0.5)
        total = factors[0] * given["target"] + factors[1] * given["s1"] + given["l2"]
        [expected] = torch.autograd.grad(total, [parameter])
        torch.testing.assert_close(ours[name], expected, atol=1e-6, rtol=1e-5)
    body = [each for name, each in net.named_parameters() if not name.startswith("head.")]
    given = losses(net)
    of = [net.seen["target"]] if at == "features" else body
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(given[k], of, retain_graph=True)]) for k in ("target", "s1")]
    expected = torch.stack(rows).double() @ torch.stack(rows).double().T
    torch.testing.assert_close(seen[0][0], expected, atol=0, rtol=1e-5)


def test_features_and_parameters_give_the_same_step_where_they_have_the_same_gramian():
    """One example, and a trunk that adds a vector: the gradient at the vector is that at the features."""

    class Shift(torch.nn.Module):
        width = 8

        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(8))

        def forward(self, x):
            return x + self.shift

    found = {}
    for at in ("parameters", "features"):
        net = network()
        net.trunk = Shift()
        trained = [*net.trunk.parameters(), *net.head.parameters()]
        for each in net.encoder.parameters():
            each.requires_grad_(False)
        balance = BY_GRADIENTS["upgrad"](PhaseContext(net, frozenset(), dict.fromkeys(["target", "s1"])), at=at)
        memo = {}
        given = {}
        for role, examples in (("target", TARGET), ("s1", SOURCE)):
            batch = Batches({role: examples.subset(torch.tensor([0]))}, batch_size=1, seed=3)(0)[role]
            batch.memo, batch.task = memo, role
            given[role] = torch.nn.functional.cross_entropy(net(batch), batch.labels)
        balance(given, Backward(net, trained))
        found[at] = {name: each.grad for name, each in net.named_parameters() if each.grad is not None}
    assert found["features"].keys() == found["parameters"].keys()
    for name, value in found["features"].items():
        torch.testing.assert_close(value, found["parameters"][name])


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_scaled_losses_give_scaled_gradients_of_the_same_weights(at):
    """As in fp16: the Gramian is that of the unscaled losses, and all gradients carry the scale."""
    found, gramians = [], []
    for scale in (1.0, 1024.0):
        net = network()

        def weigh(gramian, names):
            gramians.append(gramian)
            return gramian.diagonal()

        backward = Backward(net, [*net.parameters()], lambda loss, scale=scale: loss * scale)
        Gradients(["target", "s1"], at, net)(losses(net), backward, weigh)
        found.append({name: grad / scale for name, grad in grads(net).items()})
    torch.testing.assert_close(*gramians)
    torch.testing.assert_close(*found)
    net = network()
    overflow = Backward(net, [*net.parameters()], lambda loss: loss * 1e38)
    weights = Gradients(["target", "s1"], at, net)(losses(net), overflow, weigh)
    assert weights == {"target": 1, "s1": 1}


def test_gradients_that_are_views_or_the_same_are_not_mixed_up():
    """Autograd may give one tensor for two parameters, or one without memory of its own; neither may be written to."""
    a, b, own = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    losses = {"target": (a + b).sum(), "s1": 2 * (a + b).sum() + own.sum(), "l2": a.sum()}
    Gradients(["target", "s1"], "parameters", NETWORK)(
        losses, Backward(NETWORK, [a, b, own]), lambda *_: torch.tensor([1, 3.0])
    )
    assert a.grad.tolist() == [8] * 3 and b.grad.tolist() == [7] * 3 and own.grad.tolist() == [1] * 3
    own.grad.add_(1)
    assert own.grad.tolist() == [2] * 3


def test_tasks_that_share_nothing_keep_their_own_gradients():
    a, b = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    constant = torch.tensor(3.0)
    for name in BY_GRADIENTS:
        balance = made(name, 3)
        balance({"target": 2 * a.sum(), "s1": 3 * b.sum(), "s2": constant}, Backward(NETWORK, [a, b]))
        assert balance.weights == dict.fromkeys(roles(3), 1)
        assert a.grad.tolist() == [2] * 3 and b.grad.tolist() == [3] * 3


def test_features_are_refused_where_tasks_do_not_have_them_in_common():
    net = network()
    gradients = Gradients(["target", "s1"], "features", net)
    with pytest.raises(Problem, match="balance.at=features: the tasks do not read the same features"):
        gradients(losses(net, common=False), Backward(net, [*net.parameters()]), lambda *_: torch.ones(2))
    with pytest.raises(Problem, match="balance.at=features: the tasks do not read the same features"):
        gradients({"target": torch.ones(()), "s1": torch.ones(())}, Backward(net, []), lambda *_: torch.ones(2))


def test_features_of_a_frozen_body_leave_the_heads_alone():
    net = network()
    for each in net.encoder.parameters():
        each.requires_grad_(False)
    heads = [*net.head.parameters()]
    gradients = Gradients(["target", "s1"], "features", net)
    given = losses(net)
    assert gradients({k: given[k] for k in ("target", "s1")}, Backward(net, heads), None) == {"target": 1, "s1": 1}
    given = losses(net)
    expected = torch.autograd.grad(given["target"] + given["s1"], heads)
    torch.testing.assert_close(tuple(each.grad for each in heads), expected)


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_parameters_of_objectives_are_reached(at):
    """A temperature of one task, and one of both."""
    net = network()
    own, both = (torch.nn.Parameter(torch.tensor(value)) for value in (2.0, 0.5))
    gradients = Gradients(["target", "s1"], at, net)
    given = losses(net)
    target, s1 = given["target"].item(), given["s1"].item()
    found = {"target": own * both * given["target"], "s1": both * given["s1"]}
    gradients(found, Backward(net, [*net.parameters(), own, both]), lambda *_: torch.tensor([1.0, 1.0]))
    assert own.grad.item() == pytest.approx(0.5 * target)
    assert both.grad.item() == pytest.approx(2 * target + s1)
    assert all(each.grad is not None for each in net.parameters())


def run(balance, steps, state=None, stop=None):
    """(weights after the steps, what each task was given, the state at `stop`)."""
    net = network(dropout=0.2)
    made_context = PhaseContext(net, frozenset(), {"target": torch.ones(3), "s1": torch.ones(4)}, steps=12)
    rates = {name: Rate() for name, _ in net.named_parameters()}
    adam = partial(torch.optim.Adam, lr=0.01, fused=True)
    update = Update([CrossEntropy(made_context)], rates, adam, lambda step, steps: 1.0, balance(made_context))
    batches = Batches({"target": TARGET, "s1": SOURCE}, batch_size=16, seed=3)
    given, saved = [], None
    for record in fit(net, [update], batches, steps=steps, seed=1, machine=CPU, state=state):
        given.append({name: float(weight) for name, weight in record.weights.items()})
        if record.step == stop:
            buffer = io.BytesIO()
            torch.save(record.state(), buffer)
            saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
            break
    return tensors(net), given, saved


@pytest.mark.parametrize("balance", [partial(GradNorm, initial=5), partial(Famo, rate=0.1), BY_GRADIENTS["pcgrad"]])
def test_an_interrupted_phase_ends_bit_identical(balance):
    whole, given, _ = run(balance, 12)
    _, before, saved = run(balance, 12, stop=4)
    resumed, after, _ = run(balance, 12, state=saved)
    assert before + after == given and len({tuple(each.values()) for each in given}) > 1
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_gradient_reaches_every_parameter_through_fit():
    net = network()
    names = {"target": torch.ones(3), "s1": torch.ones(4)}
    for balance in (*BY_GRADIENTS.values(), lambda context: equal):
        begun = PhaseContext(net, frozenset(), names)
        before = tensors(net)
        update = Update(
            [CrossEntropy(begun)], {name: Rate() for name in before}, partial(torch.optim.Adam, lr=0.01, fused=True),
            lambda step, steps: 1.0, balance(begun),
        )  # fmt: skip
        batches = Batches({"target": TARGET, "s1": SOURCE}, batch_size=16, seed=3)
        for _ in fit(net, [update], batches, steps=2, seed=1, machine=CPU):
            pass
        after = tensors(net)
        assert all(not torch.equal(before[name], after[name]) for name in before)
