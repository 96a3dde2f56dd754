"""Looks as candidates: one training gives the choices of all rules, and only one of these reads labels of the target."""

import re
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from toys.networks import image_network
from toys.phases import CPU, adapting, same, solve_adapting, stopped_at
from toys.tasks import shifted_tasks

from xlearn.commands.train import main
from xlearn.metrics.measure import score
from xlearn.networks.evaluate import logits
from xlearn.networks.network import load, tensors
from xlearn.objectives.self_training.entropy_min import EntropyMin
from xlearn.phases.checkpoints_by_rule import look
from xlearn.phases.feasible import check
from xlearn.runtime.cache import Cache, weights_digest
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.selection import RULES

SCORED = RULES[1:]
WITHOUT_SOURCE = {"entropy", "infomax", "snd", "mixval", "oracle"}


def restless(**values):
    """A phase that learns too fast: it is now better, now worse."""
    return adapting(**{"optimizer": partial(torch.optim.Adam, lr=0.2, fused=True), "steps": 24, **values})


def looked(folder, which, roles=None, **options):
    """(the network, the entry, of each look its line and the weights that the network had)."""
    network = image_network((roles or shifted_tasks())["target"]["target"].unlabeled)
    looks = []
    options = {"evaluations": 8, **options, "report": lambda line: looks.append((line, tensors(network)))}
    _, entry, _ = solve_adapting(folder, which, roles, network, **options)
    return network, entry, looks


def best(looks, rule):
    """By hand: the position of the first of the highest scores; of the last look for `last`."""
    values = [line["scores"].get(rule, 0) for line, _ in looks]
    return values.index(max(values)) if rule != "last" else len(looks) - 1


def test_one_training_gives_the_choices_of_all_rules(tmp_path):
    _, first, looks = looked(tmp_path, restless())
    chosen = {rule: best(looks, rule) for rule in RULES}
    assert len(set(chosen.values())) > 2, chosen  # otherwise this would tell little
    assert not first.report["cached"]
    for rule, position in chosen.items():
        line, weights = looks[position]
        network, entry, _ = looked(tmp_path, restless(keep=rule))
        assert entry.report["cached"] and entry.report["key"] == first.report["key"]
        assert entry.report["kept_step"] == line["step"]
        assert same(tensors(network), weights) and entry.digest == weights_digest(weights)
        score_there = None if rule == "last" else line["scores"][rule]
        assert entry.report["selection"][rule] == {"step": line["step"], "score": score_there}


@pytest.mark.parametrize("rule", ["snd", "oracle"])
def test_it_is_the_same_where_the_rule_is_what_is_computed_first(tmp_path, rule):
    network, entry, looks = looked(tmp_path, restless(keep=rule))
    assert not entry.report["cached"]
    assert same(tensors(network), looks[best(looks, rule)][1])


def test_every_look_is_recorded_with_all_scores(tmp_path):
    _, entry, looks = looked(tmp_path, restless())
    assert [line["step"] for line, _ in looks] == [3, 6, 9, 12, 15, 18, 21, 24]
    assert all(tuple(line["scores"]) == SCORED for line, _ in looks)
    assert entry.report["records"] == [line for line, _ in looks]
    kept = {look(each["step"]) for each in entry.report["selection"].values()}
    assert entry.others.keys() == kept
    for line, weights in looks:
        if look(line["step"]) in kept:
            assert same(entry.others[look(line["step"])], weights)


def test_what_a_metric_on_validation_data_says_is_what_the_network_says(tmp_path):
    roles = shifted_tasks()
    network, _, looks = looked(tmp_path, restless())
    for line, weights in looks:
        load(network, weights)
        for rule, task in (("source_val", roles["source"]["blobs"]), ("oracle", roles["target"]["target"])):
            right = (logits(network, task.val, CPU).argmax(1) == task.val.labels).float().mean()
            assert line["scores"][rule] == pytest.approx(float(right))


def test_where_lower_is_better_the_lowest_is_chosen(tmp_path):
    roles = shifted_tasks()
    _, entry, looks = looked(tmp_path, restless(keep="source_val"), metric="nll")
    network, val = image_network(roles["target"]["target"].unlabeled), roles["source"]["blobs"].val
    losses = []
    for _, weights in looks:
        load(network, weights)
        losses.append(score("nll", logits(network, val, CPU), val.labels))
    lowest = losses.index(min(losses))
    assert entry.report["kept_step"] == looks[lowest][0]["step"]
    assert entry.report["selection"]["source_val"]["score"] == pytest.approx(-losses[lowest])
    assert max(losses) > min(losses) > 0


def test_labels_of_the_target_s_validation_split_are_read_by_the_oracle_alone(tmp_path):
    roles = shifted_tasks()
    target = roles["target"]["target"]
    wrong = replace(target.val, labels=(target.val.labels + 1) % 3)
    other = {**roles, "target": {"target": replace(target, val=wrong)}}
    (_, one, true), (_, two, false) = (
        looked(tmp_path / name, restless(), each) for name, each in (("true", roles), ("false", other))
    )
    for (line, weights), (again, others) in zip(true, false, strict=True):
        assert same(weights, others)
        assert {rule for rule in SCORED if line["scores"][rule] != again["scores"][rule]} <= {"oracle"}
        assert {key: value for key, value in line.items() if key != "scores"} == {
            key: value for key, value in again.items() if key != "scores"
        }
    assert [line["scores"]["oracle"] for line, _ in true] != [line["scores"]["oracle"] for line, _ in false]
    others = [{rule: each for rule, each in entry.report["selection"].items() if rule != "oracle"} for entry in (one, two)]
    assert others[0] == others[1]


@pytest.mark.parametrize("stop", [1, *(pytest.param(step, marks=pytest.mark.slow) for step in (9, 10)), 23])
def test_interrupted_the_choices_are_the_same(tmp_path, stop):
    whole, entry, looks = looked(tmp_path / "whole", restless(keep="infomax"))
    with stopped_at(stop), pytest.raises(Interrupted):
        looked(tmp_path / "parts", restless(keep="infomax"))
    network, again, _ = looked(tmp_path / "parts", restless(keep="infomax"))
    assert not again.report["cached"]
    assert again.report["selection"] == entry.report["selection"]
    assert again.report["records"] == entry.report["records"] == [line for line, _ in looks]
    assert again.others.keys() == entry.others.keys()
    assert all(same(again.others[name], entry.others[name]) for name in entry.others)
    assert same(tensors(network), tensors(whole))


def test_lost_weights_of_a_look_are_computed_again(tmp_path):
    network, entry, _ = looked(tmp_path, restless(keep="infomax"))
    step = entry.report["selection"]["infomax"]["step"]
    shutil.rmtree(Cache(tmp_path).folder(f"{entry.report['key']}-{look(step)}"))
    again, second, _ = looked(tmp_path, restless(keep="infomax"))
    assert not second.report["cached"] and same(tensors(again), tensors(network))


def source_free(**values):
    return restless(reads="unlabeled", objectives=(partial(EntropyMin, weight=1.0, diversity=1.0),), **values)


def kinds():
    """Phases without a validation split of a source: it reads none, or the source has none."""
    return {
        "source-free": (source_free, shifted_tasks()),
        "no validation": (restless, shifted_tasks(source={"val": 0.0})),
    }


@pytest.mark.parametrize("kind", kinds())
def test_without_a_source_s_validation_split_its_rules_are_left_out(tmp_path, kind):
    made, roles = kinds()[kind]
    _, entry, looks = looked(tmp_path, made(keep="entropy"), roles)
    assert all(set(line["scores"]) == WITHOUT_SOURCE for line, _ in looks)
    assert set(entry.report["selection"]) == WITHOUT_SOURCE | {"last"}


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("rule", ["source_val", "importance_weighted", "dev"])
def test_and_refused(kind, rule):
    made, roles = kinds()[kind]
    network = image_network(roles["target"]["target"].unlabeled)
    with pytest.raises(Problem, match=f"keep={rule} needs a validation split of the source, but the phase reads none"):
        check(made(keep=rule), network, roles)
    check(made(keep="snd"), network, roles)


def test_the_oracle_needs_a_validation_split_of_the_target():
    roles = shifted_tasks(val=0.0)
    network = image_network(roles["target"]["target"].unlabeled)
    with pytest.raises(Problem, match="keep=oracle needs validation examples of the target"):
        check(restless(keep="oracle"), network, roles)
    check(restless(keep="source_val"), network, roles)


def test_patience_of_a_phase_that_adapts_is_with_the_source(tmp_path):
    _, entry, looks = looked(tmp_path, restless(steps=80, patience=1, keep="oracle"), evaluations=20)
    scores = [line["scores"]["source_val"] for line, _ in looks]
    stale = [position for position in range(1, len(scores)) if scores[position] <= max(scores[:position])]
    assert entry.report["steps"] == looks[-1][0]["step"] == looks[stale[0]][0]["step"] < 80
    assert entry.report["kept_step"] <= entry.report["steps"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["budget.transfer.keep=entropy"], "finetune.keep=entropy: (?s:.*)It is for phases that read unlabelled examples"),
        (["transfer=coral", "target.shots=0", "transfer.phases.adapt.keep=best_target"], "adapt.keep=best_target: "),
        (["transfer=coral", "target.shots=0", "transfer.phases.adapt.keep=entropi"], "Did you mean 'entropy'"),
    ],
)
def test_rules_are_for_phases_that_adapt(toy, capsys, words, told):
    assert main([*toy, *words]) == 1
    assert re.search(told, capsys.readouterr().err)
