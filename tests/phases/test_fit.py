"""The loop: what it trains, what it leaves alone, and that it can stop anywhere and go on bit-identically."""

import io
import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn
from torch.nn import functional
from toys.networks import image_network
from toys.phases import CPU, adam_update, same, target_batches
from toys.tasks import SPEC, random_images

from xlearn.networks.network import load, tensors
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.phases.update import Update
from xlearn.schedules._cosine import cosine
from xlearn.trainable import Rate


def everything(network):
    return {name: Rate() for name, _ in network.named_parameters()}


def objective(network, given):
    return CrossEntropy(PhaseContext(network, frozenset(), {"target": torch.bincount(given.labels)}))


def run(network, given, steps, *, rates=None, state=None, stop=None, objectives=None, augment=()):
    """Weights after the steps, the losses, and the saved state at `stop`."""
    made = adam_update(objectives or [objective(network, given)], rates or everything(network))
    losses, saved = [], None
    batches = target_batches(given, augment=augment)
    for record in fit(network, [made], batches, steps=steps, seed=1, machine=CPU, state=state):
        losses.append(float(record.losses["target"]))
        if record.step == stop:
            buffer = io.BytesIO()
            torch.save(record.state(), buffer)
            saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
            break
    return tensors(network), losses, saved


def test_equals_a_bare_pytorch_loop():
    given = random_images()
    ours, losses, _ = run(image_network(given), given, 12)
    network, batches = image_network(given), target_batches(given)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    expected = []
    for step in range(12):
        batch = batches(step)["target"]
        x = (batch.inputs["image"].float() / 255 - 0.5) / 0.5
        for block in network.encoder["image"].blocks:
            x = block(x.flatten(1))
        loss = functional.cross_entropy(network.head[given.space.key](x), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert losses == pytest.approx(expected, abs=1e-5)
    for name, value in tensors(network).items():
        torch.testing.assert_close(ours[name], value, atol=1e-4, rtol=1e-4)


def test_golden_losses():
    given = random_images()
    _, losses, _ = run(image_network(given), given, 6)
    assert losses == pytest.approx(GOLDEN, abs=1e-4)


GOLDEN = [1.128208, 1.143463, 1.081887, 1.069363, 1.083550, 1.120347]


@settings(max_examples=12, deadline=None)
@given(stop=some.integers(1, 19), dropout=some.sampled_from([0.0, 0.5]), late=some.booleans())
def test_interrupted_anywhere_ends_bit_identical(stop, dropout, late):
    given_examples = random_images()

    def fresh(seed=0):
        return image_network(given_examples, dropout, seed)

    def rates(network):
        return {name: Rate(0.3, 0.4) if late and "blocks.0" in name else Rate() for name, _ in network.named_parameters()}

    whole = fresh()
    uninterrupted, losses, _ = run(whole, given_examples, 20, rates=rates(whole))
    first = fresh()
    _, before, saved = run(first, given_examples, 20, rates=rates(first), stop=stop)
    second = fresh(seed=9)  # other weights: all must come from the state
    torch.manual_seed(123)
    resumed, after, _ = run(second, given_examples, 20, rates=rates(second), state=saved)
    assert same(uninterrupted, resumed)
    assert before + after == losses


def test_resumes_convolutions_bit_identical():
    """Fused optimizers walk through memory, and channels-last weights have another layout than saved ones."""
    from xlearn.encoders.cnn import Cnn
    from xlearn.fusion.concat import Concat
    from xlearn.networks.network import Network

    given = random_images()

    def fresh(seed):
        torch.manual_seed(seed)
        encoder = Cnn(SPEC, widths=[8, 8, 8], dense=8)
        return Network({"image": encoder}, Concat({"image": 8}), {given.space.key: nn.Linear(8, 3)})

    uninterrupted, _, _ = run(fresh(0), given, 10)
    _, _, saved = run(fresh(0), given, 10, stop=4)
    resumed, _, _ = run(fresh(1), given, 10, state=saved)
    assert same(uninterrupted, resumed)


def test_only_named_parameters_move_and_frozen_batch_statistics_stay():
    given = random_images()
    network = image_network(given)
    network.encoder["image"].blocks[0].append(nn.BatchNorm1d(16))
    before = tensors(network)
    rates = {name: Rate() for name, _ in network.named_parameters() if name.startswith("head.")}
    after, _, _ = run(network, given, 5, rates=rates)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(rates)


def test_a_group_starts_at_its_share_of_the_steps():
    given = random_images()
    network = image_network(given)
    late = "encoder.image.blocks.0.0.weight"
    rates = {name: Rate(1.0, 0.5 if name == late else 0.0) for name, _ in network.named_parameters()}
    made = adam_update([objective(network, given)], rates)
    values = [network.get_parameter(late).detach().clone()]
    for _ in fit(network, [made], target_batches(given), steps=10, seed=1, machine=CPU):
        values.append(network.get_parameter(late).detach().clone())
    moved = [not torch.equal(before, after) for before, after in itertools.pairwise(values)]
    assert moved == [False] * 5 + [True] * 5


def test_rates_and_schedule_multiply_the_learning_rate():
    given = random_images()
    network = image_network(given)
    before = tensors(network)
    rates = {name: Rate(0.1 if name.startswith("encoder") else 1.0) for name, _ in network.named_parameters()}
    plain = partial(torch.optim.SGD, lr=0.5)
    made = Update([objective(network, given)], rates, plain, partial(cosine, warmup=0.5), adam_update([], {}).balance)
    batch = target_batches(given)(0)["target"]
    functional.cross_entropy(network(batch), batch.labels).backward()
    gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    next(fit(network, [made], target_batches(given), steps=10, seed=1, machine=CPU))
    for name, gradient in gradients.items():
        rate = 0.5 * rates[name].multiplier * cosine(0, 10, warmup=0.5)
        torch.testing.assert_close(tensors(network)[name], before[name] - rate * gradient)


class Teacher(Objective, nn.Module):
    """An objective with a parameter and a moving average: what later methods need of the loop."""

    def __init__(self, network):
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("average", network.get_parameter("encoder.image.blocks.0.0.weight").detach().clone())

    def forward(self, network, batches):
        batch = batches["target"]
        return {"target": functional.cross_entropy(network(batch) * self.temperature, batch.labels)}

    def follow(self, network):
        self.average.lerp_(network.get_parameter("encoder.image.blocks.0.0.weight").detach(), 0.1)


def test_objectives_may_have_parameters_and_follow_the_network():
    given = random_images()

    def go(state=None, stop=None):
        network = image_network(given)
        teacher = Teacher(network)
        _, losses, saved = run(network, given, 10, objectives=[teacher], state=state, stop=stop)
        return teacher, losses, saved

    whole, losses, _ = go()
    _, before, saved = go(stop=3)
    resumed, after, _ = go(state=saved)
    assert whole.temperature.item() != 1.0
    assert same(whole.state_dict(), resumed.state_dict())
    assert before + after == losses


def test_updates_in_turn_move_only_their_own_parameters():
    """As adversarial training needs it: one step is two updates."""
    given = random_images()
    network = image_network(given)
    names = [name for name, _ in network.named_parameters()]
    head = {name: Rate() for name in names if name.startswith("head.")}
    body = {name: Rate() for name in names if not name.startswith("head.")}

    def negative(network, batches):
        return {"adversary": -functional.cross_entropy(network(batches["target"]), batches["target"].labels)}

    first = adam_update([objective(network, given)], body)
    second = adam_update([negative], head)
    before = tensors(network)
    record = next(fit(network, [first, second], target_batches(given), steps=4, seed=1, machine=CPU))
    assert set(record.losses) == {"target", "adversary"}
    assert all(not torch.equal(before[name], value) for name, value in tensors(network).items())


def test_two_losses_of_one_name_are_refused():
    given = random_images()
    network = image_network(given)
    twice = [objective(network, given), objective(network, given)]
    with pytest.raises(ValueError, match="two losses are called 'target'"):
        run(network, given, 2, objectives=twice)


def test_bf16_autocast_trains_close_to_fp32():
    from xlearn.runtime.machine import Machine

    given = random_images()
    _, expected, _ = run(image_network(given), given, 10)
    network = image_network(given)
    made = adam_update([objective(network, given)], everything(network))
    machine = Machine(torch.device("cpu"), "bf16", 1)
    losses = [
        float(each.losses["target"]) for each in fit(network, [made], target_batches(given), steps=10, seed=1, machine=machine)
    ]
    assert losses == pytest.approx(expected, rel=0.05)
    assert all(value.dtype == torch.float32 for value in tensors(network).values())


def test_load_needs_the_names_it_is_given():
    network = image_network(random_images())
    with pytest.raises(KeyError):
        load(network, {"nothing": torch.zeros(1)})
