"""Methods of distillation: each formula by hand, as a law, and beside torchdistill's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.nn import functional
from torchdistill.losses.mid_level import ATLoss, CRDLoss, DISTLoss, RKDLoss, SimpleLossWrapper
from toys.networks import pair_network
from toys.tasks import pair_batch

from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.attention import Attention, apart
from xlearn.objectives.distillation.crd import Crd, contrast
from xlearn.objectives.distillation.dist import Dist, correlation
from xlearn.objectives.distillation.dkd import Dkd, decoupled
from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.kd import distillation
from xlearn.objectives.distillation.match import pooled
from xlearn.objectives.distillation.rkd import Rkd, relations
from xlearn.runtime.errors import Problem

SEEN = torch.tensor([1, 1, 0, 1, 1, 0]).bool()


def context(student, *teachers):
    return PhaseContext(student, frozenset(), {"target": torch.tensor([3, 3])}, teachers)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both(student, teacher):
    return {"s": {"output": student}}, {"t": {"output": teacher}}


def test_dkd_by_hand():
    # Probabilities 1/2, 1/4, 1/4 of the student and 1/2, 3/8, 1/8 of the teacher; the first class is the label's.
    student, teacher = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.5, 0.375, 0.125]]).log()
    own, others = decoupled(student, teacher, torch.tensor([0]), 1.0)
    assert float(own) == pytest.approx(0, abs=1e-6)
    assert float(others) == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    own, others = decoupled(student, teacher, torch.tensor([1]), 1.0)
    assert float(own) == pytest.approx(0.375 * math.log(0.375 / 0.25) + 0.625 * math.log(0.625 / 0.75))
    assert float(others) == pytest.approx(0.8 * math.log(0.8 / (2 / 3)) + 0.2 * math.log(0.2 / (1 / 3)))


@settings(deadline=None, max_examples=30)
@given(some.integers(2, 9), some.floats(0.5, 20), some.floats(0.1, 30), some.integers(0, 999))
def test_kd_is_its_two_parts(classes, tau, scale, seed):
    student, teacher = (scale * drawn(7, classes, seed=seed + each).double() for each in range(2))
    labels = torch.arange(7) % classes
    own, others = decoupled(student, teacher, labels, tau)
    rest = 1 - (teacher / tau).softmax(1).gather(1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(tau**2 * (own + rest * others), distillation(student, teacher, tau))


def test_dkd_of_extreme_logits_is_finite():
    student = torch.tensor([[300.0, 0.0, -300.0], [0.0, 0.0, 500.0]], requires_grad=True)
    own, others = decoupled(student, -student.detach(), torch.tensor([0, 2]), 1.0)
    (own + others).sum().backward()
    assert own.isfinite().all() and others.isfinite().all() and student.grad.isfinite().all()


def test_dist_is_that_of_torchdistill():
    student, teacher = drawn(8, 5), drawn(8, 5, seed=1)
    for beta, gamma, tau in ((1.0, 1.0, 1.0), (2.0, 0.5, 4.0)):
        expected = DISTLoss("s", "output", "t", "output", beta=beta, gamma=gamma, tau=tau)(*both(student, teacher))
        net = pair_network()
        objective = Dist(context(net, net), temperature=tau, beta=beta, gamma=gamma)
        found = objective._term(student, teacher[:, None], torch.ones(8, 1).bool(), torch.zeros(8))
        torch.testing.assert_close(found, expected)


def test_correlation_is_pearson_s():
    one, other = drawn(4, 6), drawn(4, 6, seed=1)
    expected = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(one, other, strict=True)])
    torch.testing.assert_close(correlation(one, other), expected)
    torch.testing.assert_close(correlation(one, 3 * one + 2), torch.ones(4))
    assert correlation(one, torch.ones(4, 6)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", [Dkd, Dist])
def test_convention_and_unseen_examples(kind):
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    labels = functional.cross_entropy(student(some_of), some_of.labels)
    terms = []
    for weight in (0.25, 1.0):
        losses = kind(context(student, teacher), weight=weight)(student, {"target": some_of, "other": some_of})
        torch.testing.assert_close(losses["target_labels"], (1 - weight) * labels)
        torch.testing.assert_close(losses["other_teacher"], losses["target_teacher"])
        terms.append(losses["target_teacher"] / weight)
    torch.testing.assert_close(*terms)
    logits, taught = (each(some_of)[SEEN] for each in (student, teacher))
    alone = kind(context(student, teacher))._term(logits, taught[:, None], torch.ones(4, 1).bool(), some_of.labels[SEEN])
    torch.testing.assert_close(terms[1], alone)
    nobody = pair_batch(image=torch.zeros(6).bool(), tabular=torch.zeros(6).bool())
    loss = kind(context(student, teacher))(student, {"target": nobody})["target_teacher"]
    loss.backward()
    assert loss.detach() == 0


def test_dkd_has_tau_squared_and_its_weights():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch()
    own, others = decoupled(student(some_of), teacher(some_of), some_of.labels, 2.0)
    losses = Dkd(context(student, teacher), temperature=2.0, weight=1.0, alpha=3.0, beta=5.0)(student, {"target": some_of})
    torch.testing.assert_close(losses["target_teacher"], 4 * (3 * own + 5 * others).mean())


def test_attention_by_hand():
    # Q_s = (9, 16) / 25, and 3-4-5 once more after the mean over channels; Q_t = (1, 0).
    student, teacher = torch.tensor([[[3.0, 4.0], [3.0, 4.0]]]), torch.tensor([[[2.0, 0.0]]])
    length = math.hypot(9, 16)
    expected = ((9 / length - 1) ** 2 + (16 / length) ** 2) / 2
    assert apart(student, teacher).tolist() == pytest.approx([expected])


def test_attention_is_that_of_torchdistill_and_pools_what_is_larger():
    student, teacher = drawn(5, 4, 6, 6), drawn(5, 7, 6, 6, seed=1)
    pairs = {"l": {"student": {"io": "output", "path": "s"}, "teacher": {"io": "output", "path": "t"}}}
    torch.testing.assert_close(apart(student, teacher).mean(), ATLoss(pairs, mode="code")(*both(student, teacher)))
    large = drawn(5, 7, 12, 6, seed=2)
    halved = functional.avg_pool2d(large.square().mean(1, keepdim=True), (2, 1)).sqrt()
    torch.testing.assert_close(apart(student, large), apart(student, halved))


def test_rkd_of_three_by_hand():
    # Sides 3, 4, 5 against a line of steps 1 and 1: distances over their means 4 and 4/3.
    student, teacher = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    far = 2 * sum(0.5 * (one / 4 - other / (4 / 3)) ** 2 for one, other in ((3, 1), (4, 2), (5, 1))) / 9
    assert float(relations(student, teacher, 1.0, 0.0)) == pytest.approx(far)
    # Angles 90 degrees, and of the line 0; cosines 3/5 and -1; 4/5 and 1. Each pair (j, k) counts in both orders.
    cosines = ((0, 1), (3 / 5, -1), (4 / 5, 1))
    huber = [0.5 * (one - other) ** 2 if abs(one - other) < 1 else abs(one - other) - 0.5 for one, other in cosines]
    assert float(relations(student, teacher, 0.0, 1.0)) == pytest.approx(2 * sum(huber) / 27)


def test_rkd_is_that_of_torchdistill():
    student, teacher = drawn(7, 4).requires_grad_(), drawn(7, 9, seed=1)
    expected = RKDLoss("s", "t", 25.0, 50.0, "mean")(*both(student, teacher))
    found = relations(student, teacher, 25.0, 50.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    [one], [other] = (torch.autograd.grad(each, student) for each in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    same = torch.ones(4, 3, requires_grad=True)  # nothing is apart
    relations(same, teacher[:4], 1.0, 1.0).backward()
    assert same.grad.isfinite().all()
    turned = torch.linalg.qr(drawn(9, 9, seed=2))[0]
    assert float(relations(3 * teacher @ turned + 5, teacher, 25.0, 50.0)) == pytest.approx(0, abs=1e-6)


def test_crd_by_hand():
    scores, negatives = torch.tensor([[0.0, math.log(2)], [0.0, 0.0]]), torch.tensor([[0, 1], [1, 0]]).bool()
    # N / M = 1/4: h = 1 / (1 + 1/4) of the pairs; 1 - h = (1/4) / (2 + 1/4) and (1/4) / (1 + 1/4) of the others.
    assert float(contrast(scores, negatives, 4)) == pytest.approx(-2 * math.log(4 / 5) - math.log(1 / 9) - math.log(1 / 5))
    assert float(contrast(scores, torch.zeros(2, 2).bool(), 4)) == 0


def test_crd_of_a_batch_is_torchdistill_s_objective():
    theirs = CRDLoss("s", "e", "t", input_size=4, output_size=50, num_negative_samples=5, num_samples=50)
    scores = drawn(6, 6)
    order = torch.stack([torch.tensor([i, *[j for j in range(6) if j != i]]) for i in range(6)])  # the positive first
    expected = theirs.compute_contrast_loss(scores.gather(1, order).exp().unsqueeze(2))
    torch.testing.assert_close(contrast(scores, ~torch.eye(6).bool(), 50) / 6, expected.squeeze(), rtol=1e-4, atol=1e-5)
    extreme = (1000 * scores).requires_grad_()
    contrast(extreme, ~torch.eye(6).bool(), 50).backward()
    assert extreme.grad.isfinite().all()


class Counted:
    """A task of which nothing but the number of examples is asked."""

    train = range(40)


@pytest.mark.parametrize("negatives", ["other_class", "all"])
def test_crd_takes_negatives_from_the_batch(negatives):
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    began = PhaseContext(student, frozenset(), {}, (teacher,), tasks={"target": Counted()})
    objective = Crd(began, width=3, temperature=0.5, weight=2.0, negatives=negatives)
    one = functional.normalize(objective.student(student.features(some_of)))
    other = functional.normalize(objective.teacher(teacher.features(some_of)))
    expected, rows = 0.0, SEEN.nonzero().flatten().tolist()
    for anchors, candidates in ((one, other), (other, one)):
        for i in rows:
            picked = [j for j in rows if j != i and (negatives == "all" or some_of.labels[j] != some_of.labels[i])]
            share = len(picked) / 40
            h = {j: (e := torch.exp(anchors[i] @ candidates[j] / 0.5)) / (e + share) for j in [i, *picked]}
            expected = expected - h[i].log() - sum((1 - h[j]).log() for j in picked)
    torch.testing.assert_close(objective(student, {"target": some_of})["target_crd"], 2 * expected / 4)


def test_fitnets_is_a_mean_squared_error():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    objective = FitNets(context(student, teacher), weight=3.0)
    made, taught = objective.regressor(student.features(some_of)), teacher.features(some_of)
    place = {"module_path": "s", "io": "output", "is_from_teacher": False}
    theirs = SimpleLossWrapper(torch.nn.MSELoss(), input=place, target={**place, "module_path": "t", "is_from_teacher": True})
    expected = theirs(*both(made[SEEN], taught[SEEN]), None)
    torch.testing.assert_close(objective(student, {"target": some_of})["target_fitnets"], 3 * expected)


def test_rkd_is_of_the_examples_that_the_teacher_sees():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    found = Rkd(context(student, teacher))(student, {"target": some_of})["target_rkd"]
    torch.testing.assert_close(found, relations(student.features(some_of)[SEEN], teacher.features(some_of)[SEEN], 25.0, 50.0))


def test_pooling_is_to_the_smaller_along_each_axis():
    one, other = pooled(drawn(2, 3, 8, 2), drawn(2, 5, 4, 6, seed=1))
    assert (one.shape, other.shape) == ((2, 3, 4, 2), (2, 5, 4, 2))
    torch.testing.assert_close(one, functional.avg_pool2d(drawn(2, 3, 8, 2), (2, 1)))
    assert pooled(drawn(2, 3, 7), drawn(2, 5, 4))[0].shape == (2, 3, 4)


@pytest.mark.parametrize("kind", [Dkd, Dist, FitNets, Attention, Rkd, Crd])
def test_one_teacher_and_weights_in_range(kind):
    net = pair_network()
    for teachers, told in (((), "there is none"), ((net, net), "there are 2")):
        with pytest.raises(Problem, match=f"{kind.__name__.lower()} needs one teacher, and {told}"):
            kind(context(net, *teachers))
    options = {
        Dkd: {"temperature": 0.0, "weight": 1.5, "alpha": -1.0, "beta": -1.0},
        Dist: {"temperature": 0.0, "weight": -0.5, "beta": -1.0, "gamma": -1.0},
        FitNets: {"weight": -1.0},
        Attention: {"weight": -1.0},
        Rkd: {"distance": -1.0, "angle": -1.0},
        Crd: {"width": 0, "temperature": 0.0, "weight": -1.0},
    }[kind]
    for name, value in options.items():
        with pytest.raises(Problem, match=f"{kind.__name__.lower()}: {name}={value}"):
            kind(context(net, net), **{name: value})
    with pytest.raises(Problem, match="other has a single class"):
        Dkd(PhaseContext(net, frozenset(), {"other": torch.tensor([4])}, (net,)))
