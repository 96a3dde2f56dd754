"""Balances of gradients: the seam against autograd, the weights against torchjd and against what defines them."""

import io
import math
from functools import partial

import pytest
import torch
import toys
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector

from xlearn.balance import Backward
from xlearn.balance.aligned import Aligned
from xlearn.balance.cagrad import CAGrad
from xlearn.balance.equal import equal
from xlearn.balance.famo import Famo
from xlearn.balance.gradient_similarity import GradientSimilarity
from xlearn.balance.gradients import Gradients, cosines
from xlearn.balance.gradnorm import GradNorm
from xlearn.balance.imtl_g import IMTLG
from xlearn.balance.mgda import MGDA
from xlearn.balance.nash import Nash
from xlearn.balance.pcgrad import PCGrad
from xlearn.balance.upgrad import UPGrad
from xlearn.batches import Batches
from xlearn.encoders.cnn import Cnn
from xlearn.errors import Problem
from xlearn.fit import Update, fit
from xlearn.fusion.concat import Concat
from xlearn.network import Network, tensors
from xlearn.objectives import Start
from xlearn.objectives.cross_entropy import CrossEntropy
from xlearn.trainable import Rate

METHODS = {
    "aligned": Aligned, "cagrad": CAGrad, "gradient_similarity": GradientSimilarity, "gradnorm": GradNorm, "imtl_g": IMTLG,
    "mgda": MGDA, "nash": Nash, "pcgrad": PCGrad, "upgrad": UPGrad,
}  # fmt: skip
NETWORK = toys.network(toys.examples())


def roles(count):
    return ["target", *(f"s{n}" for n in range(1, count))]


def start(names, network=NETWORK):
    return Start(network, frozenset(), {role: torch.tensor([1, 1]) for role in names})


def direction(balance, jacobian, names=None):
    """(the gradient that a balance makes of the rows of `jacobian`, its weights)."""
    x = torch.nn.Parameter(torch.zeros(jacobian.shape[1], dtype=jacobian.dtype))
    losses = {role: 1 + row @ x for role, row in zip(names or roles(len(jacobian)), jacobian, strict=True)}
    balance(losses, Backward(NETWORK, [x]))
    return x.grad, torch.stack([*balance.weights.values()])


def made(name, count=2, **options):
    return METHODS[name](start(roles(count)), **options)


def jacobians(count=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    for seed in range(count):
        tasks = 2 + seed % 5
        matrix = torch.randn(tasks, 12, generator=generator, dtype=dtype)
        yield matrix - (seed % 3) * 0.4 * matrix.mean(0)


# torchjd's, our options, and our step as a multiple of its.
REFERENCES = {
    "aligned": (aggregation.AlignedMTL(), {}, lambda tasks: tasks),
    "aligned median": (aggregation.AlignedMTL(scale_mode="median"), {"scale": "median"}, lambda tasks: tasks),
    "aligned rmse": (aggregation.AlignedMTL(scale_mode="rmse"), {"scale": "rmse"}, lambda tasks: tasks),
    "cagrad": (aggregation.CAGrad(c=0.5, norm_eps=1e-12), {}, lambda tasks: tasks / 1.5),
    "cagrad none": (aggregation.CAGrad(c=0.2, norm_eps=1e-12), {"c": 0.2, "rescale": "none"}, lambda tasks: tasks),
    "cagrad square": (aggregation.CAGrad(c=0.4, norm_eps=1e-12), {"c": 0.4, "rescale": "square"}, lambda tasks: tasks / 1.16),
    "imtl_g": (aggregation.IMTLG(), {}, lambda tasks: tasks),
    "mgda": (aggregation.MGDA(epsilon=1e-9, max_iters=3000), {}, lambda tasks: tasks),
    "pcgrad": (aggregation.PCGrad(), {}, lambda tasks: 1),
    "upgrad": (aggregation.UPGrad(projector=QuadprogProjector(reg_eps=1e-10)), {}, lambda tasks: tasks),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_directions_are_torchjds(case):
    reference, options, factor = REFERENCES[case]
    for jacobian in jacobians():
        torch.manual_seed(2)
        expected = factor(len(jacobian)) * reference(jacobian)
        torch.manual_seed(2)
        found, _ = direction(made(case.split()[0], len(jacobian), **options), jacobian)
        # torchjd's MGDA is an approximation: see below.
        assert float((found - expected).norm() / expected.norm()) < (1e-2 if case == "mgda" else 2e-4)


def test_nash_solves_its_equation_as_fairgrad_does():
    for jacobian in jacobians():
        found, weights = direction(made("nash", len(jacobian)), jacobian)
        expected = aggregation.FairGrad(alpha=1.0)(jacobian)
        torch.testing.assert_close(found / found.norm(), expected / expected.norm(), atol=1e-4, rtol=1e-4)
        gains = weights * (jacobian @ found)
        torch.testing.assert_close(gains, gains.mean().expand_as(gains), atol=0, rtol=1e-4)
        assert (weights > 0).all() and float(weights.sum()) == pytest.approx(len(jacobian))


# g_1 = (1, 0), g_2 = (-1, 1): <g_1, g_2> = -1, |g_1|^2 = 1, |g_2|^2 = 2.
CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
BY_HAND = {
    # g_1 + 1/2 g_2 and g_2 + g_1
    "pcgrad": [2.0, 1.5],
    "upgrad": [2.0, 1.5],
    # |w - (1 - w)|^2 + (1 - w)^2 is least at w = 3/5
    "mgda": [1.2, 0.8],
    # y_1 = y_2, w_t = y_t / |g_t|
    "nash": [2 * math.sqrt(2) / (1 + math.sqrt(2)), 2 / (1 + math.sqrt(2))],
    "imtl_g": [2 * math.sqrt(2) / (1 + math.sqrt(2)), 2 / (1 + math.sqrt(2))],
    "gradient_similarity": [1.0, 0.0],
    "gradnorm": [1.0, 1.0],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_tasks_in_conflict_by_hand(name):
    found, weights = direction(made(name), CONFLICT)
    assert weights.tolist() == pytest.approx(BY_HAND[name], abs=1e-5)
    assert found.tolist() == pytest.approx((weights.float() @ CONFLICT).tolist(), abs=1e-5)


def test_aligned_by_hand():
    # Orthogonal gradients of lengths 1 and 3: both become as long as the shorter (in squares 1 and 9, mean 5).
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert direction(made("aligned"), jacobian)[1].tolist() == pytest.approx([1, 1 / 3])
    weights = direction(made("aligned", scale="rmse"), jacobian)[1].tolist()
    assert weights == pytest.approx([math.sqrt(5), math.sqrt(5) / 3])


def test_cagrad_of_two_opposite_gradients_by_hand():
    # g_0 = (1, 0); whatever moves along it harms one task: d = (1 - c) g_0, doubled, over 1 + c.
    found, _ = direction(made("cagrad"), torch.tensor([[3.0, 0.0], [-1.0, 0.0]]))
    assert found.tolist() == pytest.approx([2 * 0.5 / 1.5, 0], abs=1e-3)
    assert direction(made("cagrad", c=0.0), CONFLICT)[0].tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(("normalise", "lengths"), [("none", [1, 3]), ("l2", [1, 1]), ("loss", [1, 1.5]), ("loss+", [1, 0.5])])
def test_mgda_normalises_to_find_the_weights_alone(normalise, lengths):
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    x = torch.nn.Parameter(torch.zeros(2))
    balance = made("mgda", normalise=normalise)
    balance({"target": 1 + jacobian[0] @ x, "s1": 2 + jacobian[1] @ x}, Backward(NETWORK, [x]))
    # Of orthogonal gradients the shortest combination weighs by 1 / length^2.
    inverse = [1 / each**2 for each in lengths]
    weights = [2 * each / sum(inverse) for each in inverse]
    assert [float(each) for each in balance.weights.values()] == pytest.approx(weights, rel=1e-4)
    assert x.grad.tolist() == pytest.approx([weights[0], 3 * weights[1]], rel=1e-4)


def test_gradient_similarity_counts_sources_by_their_cosine():
    jacobian = torch.tensor([[2.0, 0.0], [3.0, 3.0], [-1.0, 5.0], [0.0, 1.0]])
    assert direction(made("gradient_similarity", 4), jacobian)[1].tolist() == pytest.approx([1, math.sqrt(0.5), 0, 0])
    assert direction(made("gradient_similarity", 4, hard=True), jacobian)[1].tolist() == [1, 1, 0, 1]
    names = roles(4)[1:]
    assert direction(made("gradient_similarity", 4), jacobian[1:], names)[1].tolist() == [1, 1, 1]
    with pytest.raises(Problem, match="balance=gradient_similarity weighs sources against the target"):
        GradientSimilarity(start(["a", "b"]))


@pytest.mark.parametrize("name", METHODS)
class TestEvery:
    @pytest.mark.parametrize("tasks", [2, 5])
    def test_gradients_of_one_length_without_conflict_are_added(self, name, tasks):
        for jacobian in (3 * torch.eye(tasks, 8), torch.ones(tasks, 8) / 7):
            found, weights = direction(made(name, tasks), jacobian)
            if name == "gradient_similarity" and jacobian[0, 1] == 0:
                assert weights.tolist() == [1] + [0] * (tasks - 1)
            else:
                torch.testing.assert_close(found, jacobian.sum(0), atol=1e-4, rtol=1e-4)

    def test_the_order_of_tasks_does_not_matter(self, name):
        for jacobian in jacobians():
            if name == "pcgrad":
                jacobian = jacobian[:2]  # of more, it depends on a random order
            turned = torch.arange(len(jacobian)).roll(1)
            names = [roles(len(jacobian))[position] for position in turned]
            found, weights = direction(made(name, len(jacobian)), jacobian)
            balance = METHODS[name](start(names))
            again, others = direction(balance, jacobian[turned], names)
            torch.testing.assert_close(again, found, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(others, weights[turned], atol=1e-5, rtol=1e-5)

    def test_no_gradient_breaks_it(self, name):
        generator = torch.Generator().manual_seed(4)
        for tasks in (2, 3, 6, 10):
            random = torch.randn(tasks, 5, generator=generator)
            scales = 10 ** torch.linspace(-8, 8, tasks)[:, None]
            same = random[:1].expand(tasks, 5)
            signs = torch.tensor([(-1.0) ** n for n in range(tasks)])[:, None]
            zeros = random * (torch.arange(tasks) % 2)[:, None]
            nothing = torch.zeros(tasks, 5)
            cases = [random * scales, same, same * signs, same * scales, same * signs * scales, zeros, nothing]
            cases += [random - random.mean(0), random * 1e-18, random * 1e15, same + 1e-4 * random]
            for case, jacobian in enumerate(cases):
                found, weights = direction(made(name, tasks), jacobian)
                assert found.isfinite().all() and weights.isfinite().all(), (tasks, case)

    def test_a_task_without_a_gradient_is_left_out(self, name):
        jacobian = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
        found, weights = direction(made(name, 3), jacobian)
        expected, others = direction(METHODS[name](start(roles(3))), jacobian[[0, 2]], ["target", "s2"])
        torch.testing.assert_close(found, expected)
        assert weights[[0, 2]].tolist() == pytest.approx(others.tolist()) and weights[1] == 1

    def test_a_task_may_lack_a_loss_and_penalties_are_added(self, name):
        balance = made(name, 3)
        x = torch.nn.Parameter(torch.zeros(2))
        alone = {"s1": 1 + 2 * x[0], "l2": x[1]}
        balance(alone, Backward(NETWORK, [x]))
        assert x.grad.tolist() == [2, 1] and balance.weights == {"s1": 1}
        x.grad = None

        def pair():
            return {"s2": 1 + CONFLICT[1] @ x, "target": 1 + CONFLICT[0] @ x}

        balance(pair(), Backward(NETWORK, [x]))
        without, x.grad = x.grad, None
        made(name, 3)({**pair(), "l2": 3 * x[1], "other": x[0]}, Backward(NETWORK, [x]))
        torch.testing.assert_close(x.grad, without + torch.tensor([1.0, 3.0]), atol=1e-5, rtol=1e-5)
        x.grad = None
        balance({"l2": x[1]}, Backward(NETWORK, [x]))
        assert x.grad.tolist() == [0, 1] and balance.weights == {}

    def test_a_broken_gradient_is_named_and_one_task_is_refused(self, name):
        x = torch.nn.Parameter(torch.zeros(2))
        with pytest.raises(Problem, match="The loss of task s1 is nan and its gradient is not finite. Lower optimizer.lr"):
            made(name)({"target": x.sum(), "s1": x.sum() * math.nan}, Backward(NETWORK, [x]))
        with pytest.raises(Problem, match=f"balance={name} weighs the losses of several tasks"):
            METHODS[name](start(["target"]))


@pytest.mark.parametrize("name", ["upgrad", "mgda"])
def test_no_task_is_harmed(name):
    generator = torch.Generator().manual_seed(5)
    for tasks in (2, 4, 9):
        for dimension in (2, 4, 20):
            jacobian = torch.randn(tasks, dimension, generator=generator) * 10 ** torch.rand(tasks, 1, generator=generator)
            found, weights = direction(made(name, tasks), jacobian)
            size = (weights.abs().float() * jacobian.norm(dim=1)).max()
            assert (jacobian @ found / jacobian.norm(dim=1) / size).min() > -1e-5


def test_mgda_finds_the_shortest_combination():
    """Of which torchjd's is an approximation. At the minimum d over the simplex, `<g_t, d> >= |d|^2`."""
    for jacobian in jacobians():
        found, weights = direction(made("mgda", len(jacobian)), jacobian)
        assert (weights >= 0).all() and float(weights.sum()) == pytest.approx(len(jacobian))
        shortest = found / len(jacobian)
        assert (jacobian @ shortest).min() > shortest.square().sum() * (1 - 1e-4)


def test_imtl_g_goes_equally_far_along_every_gradient_and_downhill():
    for jacobian in jacobians():
        found, _ = direction(made("imtl_g", len(jacobian)), jacobian)
        along = jacobian @ found / jacobian.norm(dim=1)
        torch.testing.assert_close(along, along.mean().expand_as(along), rtol=1e-4, atol=1e-5)
    # One gradient between two others, and much shorter: with sum(w) = 1 the formula would climb all three losses.
    cosine = torch.tensor([[1, 0.9, 0.9], [0.9, 1, 0.63], [0.9, 0.63, 1]], dtype=torch.float64)
    jacobian = torch.linalg.cholesky(cosine) * torch.tensor([[0.01], [1.0], [1.0]], dtype=torch.float64)
    v = torch.linalg.solve(cosine, torch.ones(3, dtype=torch.float64)) / jacobian.norm(dim=1)
    assert v.sum() < 0
    found, _ = direction(made("imtl_g", 3), jacobian)
    assert (jacobian @ found > 0).all()


def test_gradnorm_by_hand():
    """Lengths 1 and 2, losses at 1/2 and 3/2 of where they began: r = (1/2, 3/2), m = 3/2."""
    balance = made("gradnorm", alpha=2.0, initial=1)
    x = torch.nn.Parameter(torch.zeros(2))

    def step(target, s1):
        balance({"target": target + x[0], "s1": s1 + 2 * x[1]}, Backward(NETWORK, [x]))

    step(4.0, 1.0)
    # Here r = (1, 1): the goal of both is 3/2.
    assert balance.weight.grad.tolist() == [-1.0, 2.0]
    step(2.0, 1.5)
    # Goals 3/2 * 1/4 and 3/2 * 9/4.
    assert balance.weight.grad.tolist() == [1.0, -2.0]
    assert balance.first.tolist() == [4, 1]
    with torch.no_grad():
        balance.weight.copy_(torch.tensor([-1.0, 3.0]))
    balance.follow(NETWORK)
    assert balance.weight.sum() == 2 and balance.weight.min() > 0
    for initial in (0, -1):
        with pytest.raises(Problem, match=f"balance.initial={initial}: give 1 step or more"):
            made("gradnorm", initial=initial)


def test_gradnorm_evens_out_what_tasks_pull():
    balance = made("gradnorm", alpha=0.0)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.02)
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    for _ in range(150):
        _, weights = direction(balance, jacobian)
        optimizer.step()
        balance.follow(NETWORK)
    assert weights.tolist() == pytest.approx([1.5, 0.5], abs=0.05)


def test_cagrad_refuses_a_radius_out_of_range():
    for c in (-0.1, 1.0, math.nan):
        with pytest.raises(Problem, match=r"balance.c=.*: give a radius in \[0, 1\)"):
            made("cagrad", c=c)


# The seam, on networks.

TARGET, SOURCE = toys.examples(40), toys.examples(40, classes=4, seed=0)


def network(kind="mlp", dropout=0.0):
    if kind == "mlp":
        found = toys.network(TARGET, dropout)
    else:
        torch.manual_seed(0)
        found = Network({"image": Cnn(toys.SPEC, widths=[8, 4, 8], dense=8)}, Concat({"image": 8}), {})
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
        balance = METHODS["upgrad"](Start(net, frozenset(), dict.fromkeys(["target", "s1"])), at=at)
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
        weigh = lambda gramian, names: gramians.append(gramian) or gramian.diagonal()  # noqa: E731
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
    for name in METHODS:
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
    made_start = Start(net, frozenset(), {"target": torch.ones(3), "s1": torch.ones(4)}, steps=12)
    rates = {name: Rate() for name, _ in net.named_parameters()}
    adam = partial(torch.optim.Adam, lr=0.01, fused=True)
    update = Update([CrossEntropy(made_start)], rates, adam, lambda step, steps: 1.0, balance(made_start))
    batches = Batches({"target": TARGET, "s1": SOURCE}, batch_size=16, seed=3)
    given, saved = [], None
    for record in fit(net, [update], batches, steps=steps, seed=1, machine=toys.CPU, state=state):
        given.append({name: float(weight) for name, weight in record.weights.items()})
        if record.step == stop:
            buffer = io.BytesIO()
            torch.save(record.state(), buffer)
            saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
            break
    return tensors(net), given, saved


@pytest.mark.parametrize("balance", [partial(GradNorm, initial=5), partial(Famo, rate=0.1), METHODS["pcgrad"]])
def test_an_interrupted_phase_ends_bit_identical(balance):
    whole, given, _ = run(balance, 12)
    _, before, saved = run(balance, 12, stop=4)
    resumed, after, _ = run(balance, 12, state=saved)
    assert before + after == given and len({tuple(each.values()) for each in given}) > 1
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_gradient_reaches_every_parameter_through_fit():
    net = network()
    names = {"target": torch.ones(3), "s1": torch.ones(4)}
    for balance in (*METHODS.values(), lambda start: equal):
        begun = Start(net, frozenset(), names)
        before = tensors(net)
        update = Update(
            [CrossEntropy(begun)], {name: Rate() for name in before}, partial(torch.optim.Adam, lr=0.01, fused=True),
            lambda step, steps: 1.0, balance(begun),
        )  # fmt: skip
        batches = Batches({"target": TARGET, "s1": SOURCE}, batch_size=16, seed=3)
        for _ in fit(net, [update], batches, steps=2, seed=1, machine=toys.CPU):
            pass
        after = tensors(net)
        assert all(not torch.equal(before[name], after[name]) for name in before)


def test_cosines_by_hand():
    x, y = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    losses = {"target": x[0], "s1": x.sum() + y.sum(), "s2": y[0], "l2": 7 * x.sum()}
    found = cosines(losses, ["target", "s1", "s2"], [x, y])
    assert found == pytest.approx({"target s1": math.sqrt(0.5), "s1 s2": math.sqrt(0.5)})
