"""DELTA: feature maps that are kept, and how much each channel matters."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from toys.modalities import target_alone
from toys.networks import image_network
from toys.phases import phase, solve, stopped_at
from toys.tasks import blobs_task

from xlearn.data.task import Task
from xlearn.networks.network import Network, tensors
from xlearn.networks.outputs import channel_axis, first
from xlearn.objectives import PhaseContext
from xlearn.objectives.regularization.delta import Delta, attention
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Interrupted, Problem


def setting(encoder: str) -> tuple[Network, Task]:
    network, given = target_alone(encoder)
    return network.eval(), given


def silenced(network: Network, path: str, batch: object, channel: int) -> float:
    """The loss with one channel of a module set to zero, by a hook and a whole pass."""
    module = network.get_submodule(path)

    def hook(_module: nn.Module, _given: object, made: torch.Tensor) -> torch.Tensor:
        made = made.clone()
        made.movedim(channel_axis(module, made), -1)[..., channel] = 0
        return made

    handle = module.register_forward_hook(hook)
    with torch.no_grad():
        loss = functional.cross_entropy(network(batch), batch.labels)
    handle.remove()
    return float(loss)


@pytest.mark.parametrize(
    ("encoder", "path"),
    [
        ("cnn", "encoder.image.blocks.0"),  # maps, of which later blocks are computed
        ("cnn", "encoder.image.blocks.1.0"),  # within a block
        ("mlp", "encoder.image.blocks.1"),
        ("transformer", "encoder.text.blocks.0"),
        ("audio_cnn", "encoder.audio.frame"),
    ],
)
def test_attention_is_what_the_loss_gains_without_the_channel(encoder, path):
    network, given = setting(encoder)
    batch = given.train.take(torch.arange(len(given.train)))
    found = attention(network, path, batch)
    plain = functional.cross_entropy(network(batch), batch.labels).item()
    expected = torch.tensor([silenced(network, path, batch, channel) - plain for channel in range(len(found))]).softmax(0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert float(found.max() - found.min()) > 0


@pytest.mark.parametrize("encoder", ["cnn", "mlp", "transformer", "lstm", "audio_cnn"])
def test_the_distance_by_hand(encoder):
    network, given = setting(encoder)
    copied = frozenset(name for name, _ in network.named_parameters() if not name.startswith("head."))
    objective = Delta(PhaseContext(network, copied, {}, tasks={"target": given}), alpha=0.5, beta=0.2)
    [path] = objective.paths
    batch = given.train.take(torch.arange(5))
    network.listen(path)
    before = first(network.outputs(batch)[path]).detach()
    found = objective(network, {"target": batch})
    assert found["target_delta"].item() == pytest.approx(0, abs=1e-12)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    after = first(network.outputs(batch)[path]).detach()
    axis, total = channel_axis(network.get_submodule(path), after), 0.0
    for channel, share in enumerate(objective.shares[path].tolist()):
        one, other = after.select(axis, channel), before.select(axis, channel)
        total += share * float((one - other).square().sum()) / 5
    found = objective(network, {"target": batch})
    assert found["target_delta"].item() == pytest.approx(0.5 * total, rel=1e-4)
    fresh = sum(float(each.detach().square().sum()) for each in network.head.parameters())
    assert found["fresh"].item() == pytest.approx(0.1 * fresh, rel=1e-5)


def test_the_last_blocks_are_meant_unless_others_are_named():
    network, given = setting("cnn")
    context = PhaseContext(network, frozenset(), {}, tasks={"target": given})
    assert Delta(context).paths == ["encoder.image.blocks.2.2"]
    named = Delta(context, student=["encoder.image.blocks.0", "encoder.image.blocks.1"], attention=False)
    named(network, {"target": given.train.take(torch.arange(3))})
    assert {path: each.tolist() for path, each in named.shares.items()} == {
        "encoder.image.blocks.0": pytest.approx([1 / 4] * 4),
        "encoder.image.blocks.1": pytest.approx([1 / 6] * 6),
    }


def test_gradients_reach_what_is_below_and_the_reference_stays():
    network, given = setting("cnn")
    names = frozenset(name for name, _ in network.named_parameters())
    objective = Delta(PhaseContext(network, names, {}, tasks={"target": given}))
    reference = tensors(objective.before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    losses = objective(network, {"target": given.train.take(torch.arange(4))})
    assert losses.keys() == {"target_delta"}
    losses["target_delta"].backward()
    assert all(bool(each.grad.any()) for each in network.encoder.parameters())
    assert all(each.grad is None for each in network.head.parameters())
    assert not any(each.requires_grad for each in objective.before.parameters())
    assert all(torch.equal(value, reference[name]) for name, value in tensors(objective.before).items())
    # It is no module, so that nothing of it is trained or saved.
    assert not isinstance(objective, nn.Module)


def test_one_example_per_class_is_enough_and_the_same_again():
    given = blobs_task(shots=1)
    network = image_network(given.train)
    context = PhaseContext(network, frozenset(), {}, tasks={"target": given})
    batch = given.train.take(torch.arange(3))
    shares = []
    for _ in range(2):
        objective = Delta(context)
        assert all(bool(loss.isfinite()) for loss in objective(network, {"target": batch}).values())
        shares.append(objective.shares[objective.paths[0]])
    assert torch.equal(*shares)


def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path):
    which = phase(objectives=(partial(CrossEntropy), partial(Delta, alpha=1.0)), steps=12)
    _, expected, _ = solve(tmp_path / "whole", which)
    with stopped_at(5), pytest.raises(Interrupted):
        solve(tmp_path / "stopped", which)
    _, entry, _ = solve(tmp_path / "stopped", which)
    assert entry.digest == expected.digest != solve(tmp_path / "plain", phase(steps=12))[1].digest


def test_wrong_arguments_are_told():
    network, given = setting("mlp")
    context = PhaseContext(network, frozenset(), {}, tasks={"target": given})
    for options, told in (
        ({"alpha": -1.0}, "alpha=-1.0: give 0 or more"),
        ({"beta": -0.1}, "beta=-0.1: give 0 or more"),
        ({"student": ["encoder.image.blockz.1"]}, "no module 'encoder.image.blockz.1'. Did you mean 'encoder.image.blocks.1'"),
        ({"student": []}, "no encoder has a block"),
    ):
        with pytest.raises(Problem, match=told):
            Delta(context, **options)
    network.encoder["image"].unused = nn.Linear(2, 2)
    with pytest.raises(Problem, match="encoder.image.unused is never called"):
        Delta(context, student=["encoder.image.unused"])
