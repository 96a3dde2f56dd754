"""ADDA: a discriminator of the teacher's features, and an encoder that fools it."""

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import log_loss
from toys.contexts import adaptation_context, batch_of
from toys.networks import image_network
from toys.phases import played

from xlearn.networks.network import tensors
from xlearn.objectives.adaptation.adda import Adda
from xlearn.objectives.adaptation.discriminator import discriminate
from xlearn.runtime.errors import Problem


def taught(shots=0):
    """A context whose teacher is another network than that which learns."""
    context, network = adaptation_context(shots=shots, seed=0)
    teacher = image_network(context.tasks["source"].train, seed=1)
    return replace(context, teachers=(teacher,)), network, teacher


def test_adda_tells_the_teachers_source_from_the_networks_target_and_fools_with_inverted_labels():
    context, network, teacher = taught()
    adda, batches = Adda(context, hidden=5), batch_of(context)
    [extra] = adda.extra_updates()
    with torch.no_grad():
        source = adda.discriminator(teacher.features(replace(batches["source"], memo={}))).sigmoid().double()
        target = adda.discriminator(network.features(replace(batches["unlabeled"], memo={}))).sigmoid().double()
    losses = adda(network, batches) | extra(network, batches)
    assert losses.keys() == {"adda_discriminator", "adda_encoder"}
    expected = log_loss([1] * 16 + [0] * 16, torch.cat([source, target]).numpy())
    assert losses["adda_discriminator"].item() == pytest.approx(expected, rel=1e-5)
    assert losses["adda_encoder"].item() == pytest.approx(log_loss([1] * 16, target.numpy(), labels=[0, 1]), rel=1e-5)


def test_adda_reads_the_lessons_that_were_computed_before():
    context, network, teacher = taught()
    adda, batches = Adda(context), batch_of(context)
    now = adda(network, batches)["adda_discriminator"]
    features = teacher.features(replace(batches["source"], memo={})).detach()
    blind = torch.arange(16) >= 4  # the first four it does not see
    for seen, expected in [
        (torch.ones(16, dtype=torch.bool), now),
        (blind, discriminate(adda.discriminator(features[4:]), adda.discriminator(network.features(batches["unlabeled"])))),
    ]:
        lessons = {"features": features.clone(), "seen": seen.unsqueeze(1)}
        lessons["features"][~seen] = 100.0
        found = adda(network, batches | {"source": replace(batches["source"], taught=lessons)})["adda_discriminator"]
        assert torch.allclose(found, expected)


def test_addas_updates_reach_discriminator_and_encoder_alone():
    context, network, teacher = taught(shots=2)
    adda, batches = Adda(context), batch_of(context)
    [extra] = adda.extra_updates()
    adda(network, batches)["adda_discriminator"].backward()
    assert all(parameter.grad.count_nonzero() for parameter in adda.discriminator.parameters())
    assert all(parameter.grad is None for each in (network, teacher) for parameter in each.parameters())
    adda.zero_grad(set_to_none=True)
    for batch in batches.values():
        batch.memo.clear()
    losses = extra(network, batches)
    assert losses.keys() == {"adda_encoder", "target"}
    losses["adda_encoder"].backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in adda.parameters())
    assert [*adda.parameters()] and not list(extra.parameters())
    assert all(network.get_parameter(name).grad is not None for name, _ in network.named_parameters() if extra.moves(name))
    assert not any(extra.moves(name) for name, _ in network.named_parameters() if name.startswith("head."))


@pytest.mark.parametrize("shots", [0, 2])
def test_adda_trains_in_the_loop(shots):
    context, network, teacher = taught(shots)
    adda = Adda(context)
    before = tensors(teacher), tensors(adda)
    moved, losses, _ = played(context, network, [adda], adda.extra_updates())
    assert moved == {name for name, _ in network.named_parameters() if name.startswith("encoder.")}
    assert losses[0].keys() == {"adda_discriminator", "adda_encoder"} | ({"target"} if shots else set())
    assert all(torch.equal(before[0][name], value) for name, value in tensors(teacher).items())
    assert all(not torch.equal(before[1][name], value) for name, value in tensors(adda).items())


def test_adda_refuses_a_teacher_of_another_width():
    context, _, teacher = taught()
    teacher.trunk.width = 9
    with pytest.raises(Problem, match="the network has 8 features, the source's network 9"):
        Adda(context)


def test_adda_needs_a_teacher_and_a_source():
    context, _ = adaptation_context()
    with pytest.raises(Problem, match="adda needs one teacher"):
        Adda(context)
    context, *_ = taught()
    with pytest.raises(Problem, match="adda: hidden=0"):
        Adda(context, hidden=0)
    with pytest.raises(Problem, match="adda compares the target with a source"):
        Adda(replace(context, tasks={"unlabeled": context.tasks["unlabeled"]}))
