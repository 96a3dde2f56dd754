"""SupCon: its loss against another library, whom it takes, and how it learns."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from toys.contexts import bare, compared_context
from toys.laws import does_not_collapse, refuses
from toys.tasks import two_draws

from xlearn.objectives.self_supervision.simclr import nt_xent
from xlearn.objectives.self_supervision.supcon import SupCon, supervised_contrast


@pytest.mark.parametrize(("count", "classes", "temperature"), [(4, 2, 0.1), (12, 3, 0.07), (32, 10, 1.0)])
def test_supervised_contrast_is_that_of_pytorch_metric_learning(count, classes, temperature):
    from pytorch_metric_learning.losses import SupConLoss

    one, other = two_draws(count, seed=count)
    labels = torch.arange(count) ** 2 % classes
    expected = SupConLoss(temperature)(torch.cat([one, other]), labels.repeat(2))
    assert supervised_contrast(one, other, labels, temperature).item() == pytest.approx(expected.item(), rel=1e-4)


def test_supervised_contrast_without_company_is_nt_xent():
    one, other = two_draws(9)
    labels = torch.arange(9).flip(0)
    assert supervised_contrast(one, other, labels, 0.3).item() == pytest.approx(nt_xent(one, other, 0.3).item(), rel=1e-5)


def test_what_classes_are_called_does_not_matter_but_who_shares_one_does():
    one, other = two_draws(9)
    labels = torch.arange(9) % 3
    found = supervised_contrast(one, other, labels, 0.3).item()
    assert supervised_contrast(one, other, (labels + 1) % 3 * 7, 0.3).item() == pytest.approx(found)
    assert abs(supervised_contrast(one, other, torch.arange(9) // 3, 0.3).item() - found) > 1e-3


def test_supcon_takes_only_the_examples_that_have_a_label():
    context, net = compared_context(labels=True)
    net.eval()
    objective = SupCon(replace(context, view=bare))
    rows = torch.tensor([1, 2, 3, 5, 6, 8])
    whole, few = (context.tasks["source"].train.take(each) for each in (torch.arange(10), rows))
    some = replace(whole, labels=whole.labels[rows], rows=rows)
    found = [objective(net, {"source": each})["supcon_source"].item() for each in (some, few, whole)]
    assert found[0] == pytest.approx(found[1], rel=1e-5) and abs(found[0] - found[2]) > 1e-3


def test_of_mixed_labels_the_heavier_class_counts():
    context, net = compared_context(labels=True)
    net.eval()
    objective = SupCon(replace(context, view=bare))
    batch = context.tasks["source"].train.take(torch.arange(10))
    soft = 0.7 * functional.one_hot(batch.labels, 3) + 0.3 * functional.one_hot((batch.labels + 1) % 3, 3)
    found = [objective(net, {"source": replace(batch, labels=each)})["supcon_source"].item() for each in (batch.labels, soft)]
    assert found[0] == found[1]


def test_supcon_brings_classes_together():
    losses, (before, after) = does_not_collapse(SupCon, labels=True)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert after > 2 * before


@pytest.mark.parametrize("count", [2, 5, 16])
def test_where_all_are_of_one_class_every_view_has_two_negatives_less_than_there_are_views(count):
    point, everyone = torch.ones(count, 4), torch.zeros(count, dtype=torch.int64)
    assert supervised_contrast(point, point, everyone, 0.2).item() == pytest.approx(math.log(1 + 2 * count - 2))


@pytest.mark.parametrize(("option", "value"), [("temperature", 0), ("temperature", -1.5), ("width", 0), ("hidden", 0)])
def test_options_out_of_range_are_refused(option, value):
    refuses(SupCon, option, value, labels=True)
