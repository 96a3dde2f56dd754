"""Distillation by one and by several teachers: cases by hand, limits, and teachers that stay as they are."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from torchdistill.losses.mid_level import KDLoss
from toys.contexts import bare_context
from toys.networks import pair_network
from toys.tasks import SPEC, pair_batch

from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network, tensors
from xlearn.objectives.distillation.kd import Kd, agreement, distillation
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.errors import Problem


def of_images(given, seed=3):
    return Network(
        {"image": pair_network(seed=seed).encoder["image"]}, Concat({"image": 8}), {given.space.key: torch.nn.Linear(8, 2)}
    )


def test_two_classes_by_hand():
    student, teacher, tau = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]]), 2.0
    # softmax(teacher / 2) = (3/4, 1/4), the student's is (1/2, 1/2)
    expected = tau**2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert distillation(student, teacher, tau).tolist() == pytest.approx([expected], rel=1e-5)


def test_the_gradient_keeps_its_size_and_becomes_that_of_logits():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    for tau in (50.0, 1000.0):
        logits = student.clone().requires_grad_()
        distillation(logits, teacher, tau).mean().backward()
        # Hinton et al., eq. 4, for logits of mean zero: (z_s - z_t) / K
        expected = ((student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))) / 4 / 5
        torch.testing.assert_close(logits.grad, expected, rtol=0.1, atol=5 / tau / 5)


def test_one_teacher_is_that_of_torchdistill():
    student, teacher, given = pair_network(seed=0), pair_network(seed=1), pair_batch()
    theirs = KDLoss("s", "output", "t", "output", temperature=3.0, alpha=0.3)
    logits, taught = student(given), teacher(given)
    expected = theirs({"s": {"output": logits}}, {"t": {"output": taught}}, given.labels)
    losses = Kd(bare_context(student, teacher), temperature=3.0, weight=0.7)(student, {"target": given})
    torch.testing.assert_close(sum(losses.values()), expected)


def test_weight_is_the_teacher_s_share():
    student, teacher, given = pair_network(seed=0), pair_network(seed=1), pair_batch()
    labels = functional.cross_entropy(student(given), given.labels)
    taught = distillation(student(given), teacher(given), 4.0).mean()
    for weight in (0.0, 0.3, 1.0):
        losses = Kd(bare_context(student, teacher), weight=weight)(student, {"target": given, "other": given})
        torch.testing.assert_close(losses["target_labels"], (1 - weight) * labels)
        torch.testing.assert_close(losses["target_teacher"], weight * taught)
        torch.testing.assert_close(losses["other_teacher"], weight * taught)
        assert len(losses) == 3  # the labels of the source are not used


def test_the_teacher_evaluates_and_stays_as_it_is():
    student, given = pair_network(), pair_batch()
    torch.manual_seed(1)
    encoder = Mlp(SPEC, widths=[8], dropout=0.5)
    teacher = Network({"image": encoder}, Concat({"image": 8}), {given.space.key: torch.nn.Linear(8, 2)})
    teacher.train()
    before = weights_digest(tensors(teacher))
    objective = Kd(bare_context(student, teacher))
    losses = [objective(student, {"target": given}) for _ in range(2)]
    assert torch.equal(losses[0]["target_teacher"], losses[1]["target_teacher"])  # no dropout
    sum(losses[0].values()).backward()
    assert all(each.grad is None for each in teacher.parameters())
    assert any(each.grad is not None for each in student.parameters())
    assert weights_digest(tensors(teacher)) == before and not teacher.training
    assert not isinstance(objective, torch.nn.Module)  # its parameters are no one's to train


def test_what_the_teacher_does_not_see_does_not_count():
    student, given = pair_network(), pair_batch(image=torch.tensor([1, 1, 0, 0, 1, 0]).bool())
    teacher = of_images(given)
    objective = Kd(bare_context(student, teacher), weight=1.0)
    found = objective(student, {"target": given})["target_teacher"]
    each = distillation(student(given), teacher(given), 4.0)
    torch.testing.assert_close(found, each[[0, 1, 4]].mean())
    nobody = pair_batch(image=torch.zeros(6).bool())
    assert objective(student, {"target": nobody})["target_teacher"].detach() == 0
    assert objective(student, {"target": given, "source": given.only("tabular")}).keys() == {
        "target_labels", "target_teacher",
    }  # fmt: skip
    with pytest.raises(Problem, match="the teacher reads image, but no task has"):
        objective(student, {"target": given.only("tabular")})


def mixed(student, teachers, given, shares):
    """`tau^2 KL(sum_k a_k p_k || p_s) [batch]` for shares `[batch, teachers]`, as the formula says it; tau = 4."""
    p = (student(given) / 4).softmax(1)
    taught = sum(shares[:, [k]] * (each(given) / 4).softmax(1) for k, each in enumerate(teachers))
    return 16 * (taught * (taught / p).log()).sum(1)


def test_several_teachers_count_equally_or_by_their_validation_loss():
    student, given = pair_network(seed=0), pair_batch()
    teachers = [pair_network(seed=seed) for seed in (1, 2, 3)]
    objective = Kd(bare_context(student, *teachers), weight=1.0)
    expected = mixed(student, teachers, given, torch.full((6, 3), 1 / 3)).mean()
    torch.testing.assert_close(objective(student, {"target": given})["target_teacher"], expected)
    # e^-L: 1/2, 1/4 and 1/4, which add up to 1
    losses = (math.log(2), math.log(4), math.log(4))
    objective = Kd(bare_context(student, *teachers, validation=losses), weight=1.0, combine="validation")
    expected = mixed(student, teachers, given, torch.tensor([[0.5, 0.25, 0.25]]).expand(6, 3)).mean()
    torch.testing.assert_close(objective(student, {"target": given})["target_teacher"], expected)


def test_agreement_by_hand():
    one, two, third = [0.5, 0.5], [0.5, 0.5], [0.9, 0.1]
    seen = torch.ones(1, 3).bool()
    found = agreement(torch.tensor([[one, two, third]]).log(), seen)
    of_third = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)  # KL(third || one)
    to_third = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    torch.testing.assert_close(found, torch.tensor([[-of_third / 2, -of_third / 2, -to_third]]))
    # What is not seen has no say: of the other two one differs.
    seen[0, 1] = False
    found = agreement(torch.tensor([[one, two, third]]).log(), seen)
    torch.testing.assert_close(found[0, [0, 2]], torch.tensor([-of_third, -to_third]))


def test_agreement_weighs_teachers_for_each_example():
    student, given = pair_network(seed=0), pair_batch()
    teachers = [pair_network(seed=seed) for seed in (1, 2, 3)]
    p = [(each(given) / 4).softmax(1) for each in teachers]
    scores = [-sum((p[j] * (p[j] / p[k]).log()).sum(1) for j in range(3) if j != k) / 2 for k in range(3)]
    shares = torch.stack(scores, 1).softmax(1)
    found = Kd(bare_context(student, *teachers), weight=1.0, combine="agreement")(student, {"target": given})
    torch.testing.assert_close(found["target_teacher"], mixed(student, teachers, given, shares).mean())


@pytest.mark.parametrize("combine", ["average", "validation", "agreement"])
def test_of_several_teachers_those_count_that_see_the_example(combine):
    there = torch.tensor([1, 1, 0, 0, 1, 0]).bool()
    given = pair_batch(image=there, tabular=torch.tensor([1, 0, 1, 0, 0, 1]).bool())
    student, of_image = pair_network(), of_images(given)
    both = pair_network(seed=5)
    objective = Kd(bare_context(student, of_image, both, validation=(0.3, 0.9)), weight=1.0, combine=combine)
    found = objective(student, {"target": given})["target_teacher"]
    alone = torch.tensor([[0.0, 1.0]])  # `both` sees 2 and 5 by itself, nobody sees 3
    if combine == "average":
        shares = torch.tensor([[0.5, 0.5]])
    elif combine == "validation":
        shares = torch.tensor([[-0.3, -0.9]]).softmax(1)
    else:
        log_p = torch.stack([(each(given) / 4).log_softmax(1) for each in (of_image, both)], 1)
        shares = agreement(log_p, torch.ones(6, 2).bool()).softmax(1)
    each = mixed(student, [of_image, both], given, torch.where(there[:, None], shares, alone))
    torch.testing.assert_close(found, each[[0, 1, 2, 4, 5]].mean())


def test_wrong_words_are_told():
    net = pair_network()
    for options, told in (({"temperature": 0.0}, "temperature=0"), ({"weight": 1.5}, "weight=1.5")):
        with pytest.raises(Problem, match=told):
            Kd(bare_context(net, net), **options)
    with pytest.raises(Problem, match="needs a teacher"):
        Kd(replace(bare_context(net), teachers=()))
    with pytest.raises(Problem, match="there is none. Raise target.val"):
        Kd(bare_context(net, net, net), combine="validation")
    with pytest.raises(Problem, match="not every teacher reads it"):
        Kd(bare_context(net, net, net, validation=(0.5, None)), combine="validation")
