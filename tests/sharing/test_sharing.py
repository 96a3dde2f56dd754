"""Tasks in one network: laws that every way of sharing keeps, for every encoder made of blocks."""

import pytest
import torch
from torch.nn import functional
from toys.modalities import ENCODERS, network_for, random_task
from toys.sharings import SHARINGS, first_batches, joined, joint_losses

from xlearn.networks.unshared import Unshared
from xlearn.sharing.together import alone, join, reads

# At the start these are the plain network for every task.
PLAIN = ["hard", "branch", "none", "soft", "trace_norm", "adapter", "houlsby", "lora", "progressive"]
MERGES = ["all", "hard", "branch", "none", "soft", "trace_norm", "adapter", "lora"]
# Recurrent layers take no adapter.
WITHOUT = [("adapter", "lstm"), ("houlsby", "lstm")]
# In the fast tests a picture and a text with a recurrence; every encoder in the others.
SLOW = {name: [pytest.mark.slow] for name in ENCODERS if name not in ("cnn", "lstm")}
PAIRS = [
    pytest.param(sharing, encoder, marks=SLOW.get(encoder, []))
    for sharing in SHARINGS
    for encoder in ENCODERS
    if (sharing, encoder) not in WITHOUT
]


def trained(sharing, encoder, steps=3, **options):
    """A network after a few steps on all of its tasks, so that nothing is as it was at the start."""
    network, tasks = joined(sharing, encoder, **options)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    given = first_batches(tasks)
    network.train()
    for _ in range(steps):
        torch.stack([*joint_losses(network, given).values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval(), tasks


@pytest.mark.parametrize(("sharing", "encoder"), PAIRS)
def test_a_gradient_reaches_every_parameter(sharing, encoder):
    network, tasks = trained(sharing, encoder, steps=2)
    network.train()
    torch.stack([*joint_losses(network, first_batches(tasks)).values()]).sum().backward()
    lacking = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert lacking == []
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


@pytest.mark.parametrize(("sharing", "encoder"), PAIRS)
def test_a_tasks_network_by_itself_predicts_the_same(sharing, encoder):
    network, tasks = trained(sharing, encoder)
    for role, batch in first_batches(tasks).items():
        with torch.no_grad():
            together = network(batch)
            by_itself = alone(network, role, batch.space.key)
            assert torch.allclose(by_itself(batch), together, rtol=1e-4, atol=1e-5)
        assert isinstance(by_itself.sharing, Unshared) == (sharing in MERGES)
        if sharing in MERGES:
            assert not any(name.startswith("sharing.") for name in by_itself.state_dict())


@pytest.mark.parametrize(("sharing", "encoder"), [pair for pair in PAIRS if pair.values[0] in PLAIN])
def test_it_starts_from_the_plain_network(sharing, encoder):
    network, tasks = joined(sharing, encoder)
    plain, _ = joined("all", encoder)
    for batch in first_batches(tasks).values():
        with torch.no_grad():
            assert torch.allclose(network.eval()(batch), plain.eval()(batch), atol=1e-6)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_networks_own_names_stay(sharing):
    network, _ = joined(sharing)
    plain, _ = joined("all")
    own = [name for name in network.state_dict() if not name.startswith("sharing.")]
    assert own == [*plain.state_dict()]


@pytest.mark.parametrize("sharing", SHARINGS)
def test_it_leaves_the_modules_as_they_were(sharing):
    network, tasks = joined(sharing)
    for batch in first_batches(tasks).values():
        network(batch)
    assert not [name for name, module in network.named_modules() if "forward" in vars(module)]
    assert network._serving is None


@pytest.mark.parametrize("sharing", SHARINGS)
def test_saved_and_loaded_it_is_the_same(sharing):
    network, tasks = trained(sharing, "cnn")
    again, _ = joined(sharing, "cnn")
    again.load_state_dict(network.state_dict())
    for batch in first_batches(tasks).values():
        assert torch.equal(again.eval()(batch), network(batch))


def moved(sharing, role):
    """Whose predictions change when one task is trained on alone."""
    network, tasks = trained(sharing, "cnn")
    given = first_batches(tasks)
    before = {name: network(batch).detach() for name, batch in given.items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    functional.cross_entropy(network(given[role]), given[role].labels).backward()
    optimizer.step()
    return {name: not torch.equal(network(batch).detach(), before[name]) for name, batch in given.items()}


@pytest.mark.parametrize("sharing", [name for name in SHARINGS if name not in ("none", "soft", "trace_norm", "progressive")])
def test_training_one_task_moves_the_others(sharing):
    assert moved(sharing, "one") == {"one": True, "two": True, "target": True}


@pytest.mark.parametrize("sharing", ["none", "soft", "trace_norm"])
def test_without_the_penalty_columns_are_apart(sharing):
    if sharing == "none":  # the same classes: but nothing travels, so heads are apart too
        assert moved("none", "one") == {"one": True, "two": False, "target": False}
    else:
        assert moved(sharing, "two") == {"one": False, "two": True, "target": False}


def test_progressive_columns_change_later_ones_only():
    assert moved("progressive", "target") == {"one": False, "two": False, "target": True}
    assert moved("progressive", "two") == {"one": False, "two": True, "target": True}


@pytest.mark.parametrize("sharing", SHARINGS)
def test_two_tasks_and_ten(sharing):
    for count in (2, 10):
        roles = [*(f"task{number}" for number in range(count - 1)), "target"]
        network, tasks = joined(sharing, "mlp", roles=roles, classes=[2 + number % 3 for number in range(count)])
        for role, batch in first_batches(tasks).items():
            assert network(batch).shape == (6, len(tasks[role].labels.classes))


def test_heads_are_one_under_all_and_each_tasks_own_under_hard():
    together, tasks = joined("all")
    apart, _ = joined("hard")
    given = first_batches(tasks)
    assert reads(together, given["one"]) & reads(together, given["two"]) == reads(together, given["one"])
    assert not any("head" in name for name in reads(apart, given["one"]) & reads(apart, given["two"]))


def test_what_a_prediction_reads():
    """Of three tasks, by hand: cross-stitch reads all encoders, progressive its own and the earlier ones."""
    plain, tasks = joined("all")
    counts = {name: sum(each.numel() for each in part.parameters()) for name, part in plain.named_children()}
    given = first_batches(tasks)

    def count(sharing, role):
        network, _ = joined(sharing)
        names = reads(network, given[role])
        return sum(each.numel() for name, each in network.named_parameters() if name in names)

    encoder, head = counts["encoder"], counts["head"]
    assert count("none", "target") == encoder + head
    assert count("cross_stitch", "two") == 3 * encoder + head + 3 * 3 * 3
    assert count("progressive", "one") == encoder + head
    # Lateral maps: after each of the blocks but the last, 4 x 4 and 6 x 6, one for each earlier column.
    assert count("progressive", "two") == 2 * encoder + head + 52
    assert count("progressive", "target") == 3 * encoder + head + 3 * 52


def test_batch_statistics_of_each_task():
    network, tasks = joined("hard", "resnet18", statistics="task")
    shared, _ = joined("hard", "resnet18")
    given = first_batches(tasks)
    norm = "encoder.image.body.bn1.running_mean"
    start = network.state_dict()[norm].clone()
    network.train()(given["one"])
    shared.train()(given["one"])
    # Another task's batch moves the network's own statistics only where they are common.
    assert torch.equal(network.state_dict()[norm], start)
    assert not torch.equal(shared.state_dict()[norm], start)
    network(given["target"])
    assert not torch.equal(network.state_dict()[norm], start)


def test_tasks_of_several_modalities():
    specs = {"image": ENCODERS["cnn"], "text": ENCODERS["text_cnn"]}
    image, text = ENCODERS["cnn"][0], ENCODERS["text_cnn"][0]
    for sharing, build in SHARINGS.items():
        if sharing == "all":
            continue
        tasks = {
            "pictures": random_task("pictures", [image]),
            "names": random_task("names", [text]),
            "target": random_task("target", [image, text]),
        }
        network = network_for(tasks, specs, width=8, trunk=6)
        join(network, build, tasks, "shared")
        given = first_batches(tasks)
        torch.stack([*joint_losses(network, given).values()]).sum().backward()
        network.eval()
        for role, batch in given.items():
            found = network(batch)
            assert found.shape == (6, 3)
            assert torch.allclose(alone(network, role, batch.space.key)(batch), found, atol=1e-5)
