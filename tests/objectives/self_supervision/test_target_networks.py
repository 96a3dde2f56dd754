"""The networks that follow in BYOL and MoCo."""

import pytest
from toys.contexts import batch_of, compared_context
from toys.networks import shift

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.byol import Byol
from xlearn.objectives.self_supervision.moco import MoCo


def test_both_target_networks_are_moving_averages():
    for made, decays in ((Byol, [0.6, 0.8]), (MoCo, [0.6, 0.6])):
        context, net = compared_context(steps=2)
        objective = made(context, decay=0.6)
        encoder = objective.target_network if made is Byol else objective.key_network
        own = objective.target_projector if made is Byol else objective.key_projector
        began = [{name: value.clone() for name, value in each.weights().items()} for each in (encoder, own)]
        assert {"network.trunk.0.running_mean", "network.trunk.0.weight", "network.encoder.image.blocks.0.0.weight"} <= {
            *began[0]
        }
        assert began[1].keys() == dict(objective.projector.named_parameters()).keys()
        away = expected = 0.0
        for decay in decays:
            shift(net, 1.0)
            shift(objective.projector, 1.0)
            net.trunk[0].running_mean += 1
            objective.follow(net)
            away += 1
            expected = decay * expected + (1 - decay) * away
        for before, after in zip(began, (encoder.weights(), own.weights()), strict=True):
            moved = {name: (after[name] - before[name]).mean().item() for name in before if "running_var" not in name}
            assert moved == pytest.approx(dict.fromkeys(moved, expected), rel=1e-4)


@pytest.mark.parametrize(("made", "passes"), [(Byol, 2), (MoCo, 1)])
def test_targets_move_neither_statistics_nor_modes_and_have_no_gradient(made, passes):
    context, net = compared_context()
    net.train()
    net.encoder.eval()
    objective = made(context)
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in objective.named_buffers()}
    # Not the first step, so that there are negatives; what comes is noted from here.
    objective(net, batch_of(context))
    objective.follow(net)
    statistics = net.trunk[0].num_batches_tracked.clone()
    losses = objective(net, {UNLABELED: batch_of(context)[UNLABELED]})
    assert net.trunk[0].num_batches_tracked == statistics + passes
    assert [module.training for module in net.modules()] == modes
    losses[f"{made.__name__.lower()}_{UNLABELED}"].backward()
    assert (
        not any(value.requires_grad for value in objective.buffers())
        and before.keys() == dict(objective.named_buffers()).keys()
    )
    assert {name for name, _ in objective.named_parameters()} == {
        f"{part}.{name}"
        for part in (["projector", "predictor"] if made is Byol else ["projector"])
        for name, _ in getattr(objective, part).named_parameters()
    }
