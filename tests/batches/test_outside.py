"""A batch source in a user's file, which depends on the network as it is: killed inside, resumed bit for bit, and cached."""

from functools import partial

import pytest
import torch
from toys.phases import adapting, phase, same, solve, solve_adapting, stopped_at
from toys.runs import only, results

from xlearn.averaging import interpolate
from xlearn.batches import Batches
from xlearn.commands.train import main
from xlearn.config.component import component
from xlearn.networks.network import tensors
from xlearn.runtime.code import behind, closure
from xlearn.runtime.errors import Interrupted
from xlearn.runtime.storage import read_tensors

HARDEST = '''
"""The examples with the largest losses, chosen anew every few steps by the network as it is."""

import torch
from torch.nn import functional

from xlearn.batches import Batching
from xlearn.data.batches import Source
from xlearn.networks.evaluate import logits
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine


class Hardest(Batching):
    def __init__(self, base_learner, *, every: int, size: int = 8):
        super().__init__(base_learner)
        self.every, self.count = every, size

    def size(self, examples):
        return min(self.count, examples)

    def document(self, read):
        return {"hardest": [self.every, self.count]}

    def begin(self, beginning):
        return Losses(beginning, self.every, self.count)


class Losses(Source):
    def __init__(self, beginning, every, count):
        self.beginning, self.every, self.count = beginning, every, count
        self.order = {}

    @property
    def steps_per_epoch(self):
        return max(len(each) // self.count for each in self.beginning.examples.values())

    def __call__(self, step, network=None):
        if step % self.every == 0:
            # It leaves the network in evaluation mode.
            for role, each in self.beginning.examples.items():
                found = logits(network, each, Machine(self.beginning.device, "fp32", 1))
                losses = functional.cross_entropy(found, each.labels, reduction="none")
                self.order[role] = losses.argsort(descending=True, stable=True).clone()
        found = {}
        for role, each in self.beginning.examples.items():
            generator = torch.Generator().manual_seed(derive(self.beginning.seed, role, step))
            hard = self.order[role][: max(self.count, len(each) // 2)]
            found[role] = each.take(hard[torch.randperm(len(hard), generator=generator)[: self.count]])
            found[role].memo = {}
        return found

    def state(self):
        return {"order": dict(self.order)} if STATE else {}

    def restore(self, state):
        self.order = dict(state.get("order", {}))


STATE = True
'''


@pytest.fixture
def hardest(tmp_path, monkeypatch):
    (tmp_path / "hardest_of_mine.py").write_text(HARDEST)
    monkeypatch.syspath_prepend(tmp_path)
    return component({"_target_": "hardest_of_mine.Hardest", "every": 7}, "batches", positional=1)


@pytest.mark.parametrize("step", [5, 7, 18])
def test_killed_inside_it_ends_with_the_same_bits(hardest, step, tmp_path):
    """At steps between two choices: only the saved state says which examples were hardest."""
    which = phase(batches=hardest(None), steps=25)
    whole, first, _ = solve(tmp_path / "whole", which)
    with stopped_at(step), pytest.raises(Interrupted, match=f"at step {step} of 25"):
        solve(tmp_path / "broken", which)
    resumed, entry, _ = solve(tmp_path / "broken", which)
    assert same(tensors(whole), tensors(resumed)) and entry.report["key"] == first.report["key"]
    again, cached, _ = solve(tmp_path / "broken", which)
    assert cached.report["cached"] and same(tensors(again), tensors(whole))


def test_other_arguments_and_other_batches_are_other_keys(hardest, tmp_path):
    other = partial(hardest.func, every=3)
    keys = [solve(tmp_path, phase(steps=4, **each))[1].report["key"] for each in (
        {}, {"batches": hardest(None)}, {"batches": other(None)}
    )]  # fmt: skip
    assert len({*keys}) == 3


def test_a_kind_of_batches_with_the_same_arguments_is_another_key(tmp_path):
    """Its class is in the key, and with it its code: of batches, of the rule of selection, and of the solver."""

    class Mine(Batches):
        pass

    _, mine, _ = solve(tmp_path, phase(steps=4, batches=Mine(None, batch_size=16, temperature=1.0)))
    _, usual, _ = solve(tmp_path, phase(steps=4))
    assert mine.report["key"] != usual.report["key"]
    made = usual.report["document"]["phase"]
    behind_it = closure(*behind(made))
    for module in ("batches.examples", "phases.keeping", "phases.solving", "phases.training"):
        assert f"xlearn.{module}" in behind_it


def test_the_code_of_rules_and_episodes_is_in_the_key(tmp_path):
    rule = adapting(steps=2)
    _, entry, _ = solve_adapting(tmp_path, rule)
    behind_it = closure(*behind(entry.report["document"]["phase"]))
    assert {"xlearn.phases.checkpoints_by_rule", "xlearn.selection.mixval", "xlearn.selection.dev"} <= {*behind_it}


def test_the_step_trains_though_the_source_evaluated(hardest, tmp_path):
    """A source that evaluates leaves the network in evaluation mode: the step sets training mode again."""
    modes = []

    def noting(network, batches):
        modes.append(network.training)
        return {"target": torch.nn.functional.cross_entropy(network(batches["target"]), batches["target"].labels)}

    solve(tmp_path, phase(batches=hardest(None), steps=9, objectives=(partial(noting),)))
    assert len(modes) >= 9 and all(modes[1:9])


def test_a_run_reads_it_by_an_override_and_is_finished_the_second_time(hardest, toy, monkeypatch, tmp_path, capsys):
    words = [*toy, "transfer.phases.finetune.batches={_target_: hardest_of_mine.Hardest, every: 10}"]
    assert main(words) == 0
    folder, result = only()
    capsys.readouterr()
    assert main(words) == 0 and "already done" in capsys.readouterr().out
    assert main([*words, "experiment=other", "evaluations=7"]) == 0
    other = next(each for path, each in results().items() if path != folder)
    # Another number of evaluations is another key; the source's phase has another number too.
    assert not other["phases"][1]["cached"] and other["metrics"] == result["metrics"]
    assert read_tensors(folder / "weights.safetensors").keys()


def test_clipped_gradients_have_at_most_this_norm(tmp_path):
    """With plain gradient descent a step is as long as the clipped gradient, times the rate."""
    descent = partial(torch.optim.SGD, lr=1.0)
    given = {"steps": 1, "optimizer": descent, "merge": partial(interpolate, alpha=1.0)}
    free, _, _ = solve(tmp_path, phase(**given))
    still, _, _ = solve(tmp_path, phase(**given, clip=1e-9))
    short, _, _ = solve(tmp_path, phase(**given, clip=0.01))

    def length(network):
        return float(torch.stack([
            (one - other).square().sum() for one, other in zip(network.parameters(), still.parameters(), strict=True)
        ]).sum().sqrt().detach())  # fmt: skip

    assert length(short) == pytest.approx(0.01, rel=1e-3) and length(free) > 0.02
