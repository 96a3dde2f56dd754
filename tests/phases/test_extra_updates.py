"""Several updates in a step: each turn moves what it says and nothing else, one after the other, and can be resumed."""

import copy
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from toys.networks import image_network
from toys.phases import adapting, same, solve_adapting, stopped_at
from toys.tasks import shifted_tasks

from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import tensors
from xlearn.objectives import ExtraUpdate, Objective
from xlearn.phases.feasible import check
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.needs import Needs
from xlearn.trainable._frozen import frozen

RATE = 0.05


def digits(network, batch):
    return nn.functional.cross_entropy(network(batch), batch.labels)


class Game(Objective, nn.Module):
    """The phase's own update classifies; then a module of its own learns to tell the domains by the features, then the heads
    are made to be unsure of the target, then the encoders to confuse the module.
    """

    needs = Needs(unlabeled=True)

    def __init__(self, context, noted):
        super().__init__()
        torch.manual_seed(11)
        # In a tuple: it is trained in the second update and in no other.
        self.judge = (nn.Linear(context.network.width, 1),)
        self.noted = noted

    def note(self, name, network, batches):
        own = {f"judge.{key}": value.detach().clone() for key, value in self.judge[0].state_dict().items()}
        asks = {key for key, value in network.named_parameters() if value.requires_grad}
        self.noted.append((name, {**tensors(network), **own}, asks, {role: copy.copy(each) for role, each in batches.items()}))

    def forward(self, network, batches):
        self.note("own", network, batches)
        return {"blobs": digits(network, batches["blobs"])}

    def extra_updates(self):
        return [
            ExtraUpdate(self.tell, lambda name: False, [self.judge[0]]),
            ExtraUpdate(self.unsure, lambda name: name.startswith("head.")),
            ExtraUpdate(self.confuse, lambda name: name.startswith("encoder.")),
        ]

    def tell(self, network, batches):
        self.note("tell", network, batches)
        return {"tell": told(self.judge[0], network, batches)}

    def unsure(self, network, batches):
        self.note("unsure", network, batches)
        return {"unsure": certain(network, batches)}

    def confuse(self, network, batches):
        self.note("confuse", network, batches)
        return {"confuse": -told(held(self.judge[0]), network, batches)}


def held(module):
    """The module as it is: no gradient reaches its parameters."""
    weights = {name: value.detach() for name, value in module.named_parameters()}
    return lambda given: torch.func.functional_call(module, weights, (given,))


def told(judge, network, batches):
    source, target = (judge(network.features(batches[role]))[:, 0] for role in ("blobs", UNLABELED))
    return nn.functional.softplus(-source).mean() + nn.functional.softplus(target).mean()


def certain(network, batches):
    return network(batches[UNLABELED]).softmax(1).square().sum(1).mean()


def game(noted, **values):
    sgd = partial(torch.optim.SGD, lr=RATE)
    values = {"steps": 6, "optimizer": sgd, **values}
    return adapting(**{"objectives": (partial(Game, noted=noted),), **values})


MOVED = {"own": ("encoder.", "head."), "tell": ("judge.",), "unsure": ("head.",), "confuse": ("encoder.",)}


def test_each_turn_moves_what_it_says_in_its_order(tmp_path):
    noted = []
    _, _, lines = solve_adapting(tmp_path, game(noted))
    assert [name for name, *_ in noted] == [*MOVED] * 6
    for (name, before, asks, _), (_, later, *_) in pairwise(noted):
        moved = {key for key, value in before.items() if not torch.equal(value, later[key])}
        assert moved and all(key.startswith(MOVED[name]) for key in moved), name
        # What it does not move has no gradient to wait for, either.
        assert all(key.startswith(MOVED[name]) for key in asks)
    assert {tuple(sorted(each["losses"])) for each in lines} == {("blobs", "confuse", "tell", "unsure")}


def test_all_turns_of_a_step_read_the_same_batches(tmp_path):
    noted = []
    solve_adapting(tmp_path, game(noted))
    rows = [tuple(batches[UNLABELED].taught["position"].tolist()) for *_, batches in noted]
    steps = [set(rows[first : first + 4]) for first in range(0, len(rows), 4)]
    assert all(len(each) == 1 for each in steps) and len(set.union(*steps)) == len(steps)


def test_a_game_is_what_plain_torch_plays(tmp_path):
    """The same batches, and one optimizer for each of the four players."""
    noted = []
    context = image_network(shifted_tasks()["target"]["target"].unlabeled)
    plain, judge = copy.deepcopy(context), nn.Linear(8, 1)
    network, _, _ = solve_adapting(tmp_path, game(noted), network=context)
    judge.load_state_dict({key.removeprefix("judge."): value for key, value in noted[0][1].items() if key[:5] == "judge"})
    plain.train()
    players = [plain.parameters(), judge.parameters(), plain.head.parameters(), plain.encoder.parameters()]
    optimizers = [torch.optim.SGD(each, lr=RATE) for each in players]
    for number, (*_, batches) in enumerate(noted):
        for batch in batches.values():
            batch.memo = {}
        blobs = batches["blobs"]
        losses = (
            lambda given=blobs: digits(plain, given),
            lambda given=batches: told(judge, plain, given),
            lambda given=batches: certain(plain, given),
            lambda given=batches: -told(judge, plain, given),
        )
        plain.zero_grad()
        judge.zero_grad()
        losses[number % 4]().backward()
        optimizers[number % 4].step()
    for name, value in tensors(plain).items():
        torch.testing.assert_close(value, tensors(network)[name])


@pytest.mark.parametrize("stop", [1, 7, 19])
def test_interrupted_it_ends_with_the_same_bits(tmp_path, stop):
    """With momenta of every player, dropout, and a module of the objective that only a turn trains."""
    which = game([], steps=20, optimizer=partial(torch.optim.Adam, lr=0.01, fused=True))

    def network():
        return image_network(shifted_tasks()["target"]["target"].unlabeled, dropout=0.3)

    straight, whole, seen = solve_adapting(tmp_path / "whole", which, network=network())
    with stopped_at(stop), pytest.raises(Interrupted, match=f"step {stop} of 20"):
        solve_adapting(tmp_path / "parts", which, network=network())
    resumed, entry, lines = solve_adapting(tmp_path / "parts", which, network=network())
    assert entry.digest == whole.digest and not entry.report["cached"]
    assert same(tensors(resumed), tensors(straight))
    # The looks after it went on are of the same losses: the judge, too, is where it was.
    assert len(lines) and lines == seen[-len(lines) :]


def test_a_turn_moves_only_what_its_phase_trains(tmp_path):
    noted = []
    which = game(noted, trainable=partial(frozen, patterns=["encoder.image.blocks.0.*"]))
    context = image_network(shifted_tasks()["target"]["target"].unlabeled)
    before = tensors(context)
    network, _, _ = solve_adapting(tmp_path, which, network=context)
    moved = {name for name, value in tensors(network).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("encoder.image.blocks.0.")}


def test_a_turn_that_could_move_nothing_is_refused():
    network = image_network(shifted_tasks()["target"]["target"].unlabeled)
    which = game([], trainable=partial(frozen, patterns=["encoder.*"]))
    with pytest.raises(Problem, match="an update of its step changes no parameter it trains"):
        check(which, network, shifted_tasks())


def test_two_losses_of_one_name_are_refused_across_turns(tmp_path):
    class Twice(Objective):
        needs = Needs(unlabeled=True)

        def __init__(self, context):
            pass

        def __call__(self, network, batches):
            return {"loss": network(batches["blobs"]).square().mean()}

        def extra_updates(self):
            return [ExtraUpdate(self, lambda name: True)]

    with pytest.raises(ValueError, match="two losses are called 'loss'"):
        solve_adapting(tmp_path, adapting(objectives=(partial(Twice),), steps=2))
