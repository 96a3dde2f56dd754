"""Searching: what is searched, by which score, and going on."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from toys.runs import results, toy_folder

from xlearn.runtime.errors import Problem
from xlearn.search.command import main
from xlearn.search.scores import metrics_by, rule_of, score
from xlearn.search.space import Choices, Interval, space
from xlearn.search.trials import LAG, Proposals

pytest.importorskip("optuna")
FEW = ["evaluations=2", "budget.pretrain.steps=4", "budget.pretrain.epochs=null", "budget.transfer.steps=4"]
WEIGHT = "transfer.phases.adapt.penalties.coral.weight"


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [*toy_folder(tmp_path), *FEW]


def searches():
    return [json.loads(file.read_text()) for file in sorted(Path("outputs").rglob("search/*.json"))]


def test_the_grammar_of_a_search_is_hydras():
    found = space(["a=1", "b=2,3", "c=interval(0.1,3)", "d=tag(log, int(interval(1,100)))", "e=range(1,4)", "seed=0,1"])
    assert found.fixed == ("a=1",)
    assert found.searched == {
        "b": Choices(("2", "3")),
        "c": Interval(0.1, 3.0, False, False),
        "d": Interval(1.0, 100.0, True, True),
        "e": Choices(("1", "2", "3")),
    }
    assert found.repeated == (("seed=0",), ("seed=1",))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a=1"], "nothing to search"),
        (["seed=0,1"], "nothing to search"),
        (["a=interval(3, 1)"], "the smaller one first"),
        (["a=tag(log, interval(0, 1))"], "above 0"),
        (["a=interval(1"], "interval"),
    ],
)
def test_what_cannot_be_searched_is_told(words, told):
    with pytest.raises(Problem, match=told):
        space(words)


def test_the_best_trial_is_that_of_the_rule(words, capsys):
    assert main([*words, "transfer=coral", "target.shots=0", f"{WEIGHT}=0.1,1,10", "--trials", "2", "--rule", "entropy"]) == 0
    out = capsys.readouterr().out
    [found] = searches()
    scores = [trial["score"] for trial in found["trials"]]
    assert found["rule"] == "entropy" and found["score"] == max(scores)
    for trial in found["trials"]:
        [folder] = map(Path, trial["folders"])
        result = json.loads((folder / "result.json").read_text())
        assert result["selections"]["entropy"]["score"] == pytest.approx(trial["score"])
        assert str(result["config"]["transfer"]["phases"]["adapt"]["penalties"]["coral"]["weight"]) in out
    # Of the test split nothing is told but what the chosen network is worth.
    assert out.count("test accuracy") == 2 and "the oracle (needs labels" in out


def test_the_oracle_is_never_the_default(words):
    assert main([*words, "transfer=coral", "target.shots=0", f"{WEIGHT}=0.1,1", "--trials", "1"]) == 0
    keep = ["transfer.phases.adapt.keep=snd"]
    assert main([*words, *keep, "transfer=coral", "target.shots=0", f"{WEIGHT}=0.1,1", "--trials", "1"]) == 0
    assert sorted(each["rule"] for each in searches()) == ["infomax", "snd"]


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(words, capsys):
    line = [*words, "transfer=finetune", "optimizer.lr=tag(log, interval(1e-4, 1e-2))"]
    assert main([*line, "--trials", "2"]) == 0
    first = searches()[0]["trials"]
    assert main([*line, "--trials", "3"]) == 0
    [found] = searches()
    assert found["trials"][:2] == first and len(found["trials"]) == 3
    assert len(results()) == 3
    assert found["rule"] == "validation"
    assert "trial 3 of 3" in capsys.readouterr().out
    for folder in found["trials"][0]["folders"]:
        (Path(folder) / "result.json").unlink()
    assert main([*line, "--trials", "3"]) == 0  # a run that is gone is computed again
    assert searches() == [found]


def found_by(space, ends, total=24):
    """The values of all trials, where `ends(running)` says which of the trials in progress ends next."""
    proposals, tried, scores, running = Proposals(space, "abc"), [], {}, []
    while len(tried) < total or running:
        while len(tried) < total and all(number in scores for number in range(len(tried) - LAG + 1)):
            before = [replace(tried[number], score=scores[number]) for number in range(max(0, len(tried) - LAG + 1))]
            trial = proposals(len(tried), before, tried)
            tried.append(trial)
            running.append(trial.number)
        number = running.pop(ends(len(running)))
        value = sum(float(each) for each in tried[number].params.values())
        scores[number] = None if number % 7 == 3 else -abs(value - 1)  # some fail
    return [trial.params for trial in tried]


def test_the_trials_do_not_depend_on_the_workers_nor_on_their_speed():
    searched = space(["a=interval(0.1,3)", "b=tag(log, interval(1e-3,1))", "c=1,2,3"])
    in_turn = found_by(searched, lambda count: 0)
    for draw in range(3):
        generator = random.Random(draw)
        assert found_by(searched, generator.randrange) == in_turn
    assert found_by(searched, lambda count: 0, total=40)[:24] == in_turn  # a search that goes on
    assert len({json.dumps(each) for each in in_turn}) == 24


def test_a_finite_space_is_searched_without_repetition():
    searched = space(["a=1,2,3", "b=int(interval(1,4))"])
    assert Proposals(searched, "abc").count() == 12
    found = found_by(searched, lambda count: 0, total=12)
    assert len({tuple(each.items()) for each in found}) == 12
    assert Proposals(space(["a=interval(0,1)", "b=1,2"]), "abc").count() is None
    assert space(["a=1,1,2"]).size() == 2
    assert len(found_by(space(["a=1,1"]), lambda count: 0, total=1)) == 1


def test_more_trials_than_combinations(words, capsys):
    assert main([*words, "transfer=finetune", "optimizer.lr=1e-3,1e-2", "--trials", "5"]) == 0
    told = capsys.readouterr()
    assert "note: there are 2 combinations, so 2 trials instead of 5." in told.err
    assert "best of 2 trials" in told.out and len(results()) == 2


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        ("batch_size=interval(4,9)", "For whole numbers write 'batch_size=int(interval(...))'."),
        ("optimizer.lr=interval(-1,1)", "Invalid learning rate: -1.0"),
        ("optimizer.lr=0.1,-0.2", "Invalid learning rate: -0.2"),
        ("transfer=finetune,finetun", "finetune"),
    ],
)
def test_a_wrong_value_is_refused_before_the_first_trial(words, searched, told, capsys):
    assert main([*words, searched, "--trials", "3"]) == 1
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err and not results()


@pytest.mark.slow
def test_a_search_on_two_workers_split_or_killed_makes_the_same_trials(words, tmp_path, monkeypatch):
    line = [*words, "transfer=finetune", "optimizer.lr=tag(log, interval(1e-4, 1e-2))", "batch_size=int(interval(4,40))"]
    found = {}
    for name, calls in (("one", [["workers=1"]]), ("two", [["workers=2"]]), ("split", [["workers=2", "--trials", "5"], []])):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for call in calls:
            assert main([*line, "--trials", "13", *call]) == 0
        [found[name]] = searches()
        for trial in found[name]["trials"]:
            trial["folders"] = [Path(folder).name for folder in trial["folders"]]
    assert found["one"] == found["two"] == found["split"] and len(found["one"]["trials"]) == 13


@pytest.mark.slow
def test_several_seeds_repeat_a_trial(words):
    assert main([*words, "transfer=finetune", "seed=0,1", "optimizer.lr=1e-3,1e-2", "--trials", "1"]) == 0
    [found] = searches()
    [trial] = found["trials"]
    read = [json.loads((Path(folder) / "result.json").read_text()) for folder in trial["folders"]]
    assert [each["config"]["seed"] for each in read] == [0, 1]
    by_hand = [score(each, Path(folder), "validation") for each, folder in zip(read, trial["folders"], strict=True)]
    assert trial["score"] == pytest.approx(sum(by_hand) / 2)


def test_the_validation_score_is_that_of_the_weights_that_were_kept(words):
    line = [*words, "transfer=finetune", "evaluations=4", "budget.transfer.keep=best_target", "optimizer.lr=1e-3,1e-2"]
    assert main([*line, "--trials", "1"]) == 0
    [(folder, result)] = results().items()
    looks = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [look["target_val_accuracy"] for look in looks if look["phase"] == "finetune"]
    assert score(result, folder, "validation") == max(values)
    assert metrics_by(result, "validation") == result["metrics"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["transfer=finetune", "optimizer.lr=1e-3,1e-2", "--rule", "snd", "--trials", "3"], "validation only"),
        (["transfer=coral", "target.shots=0", f"{WEIGHT}=0.1,1", "--rule", "infomx"], "Did you mean|infomax"),
        (["transfer=coral", "target.shots=0", f"{WEIGHT}=0.1,1", "--trials", "0"], "--trials 0"),
        (["transfer=corl", f"{WEIGHT}=0.1,1"], "corl"),
        (["transfer=coral", "target.shots=0", f"{WEIGHT}=-1,-2", "--trials", "3"], "weight=-"),
        (["transfer=glob(c*)"], "one by one"),
        (["something"], "no KEY=VALUE"),
    ],
)
def test_wrong_words_end_a_search_with_a_sentence(words, more, told, capsys):
    assert main([*words, *more]) == 1
    err = capsys.readouterr().err
    assert "error: " in err and "Traceback" not in err and re.search(told, err)


def test_a_rule_needs_a_score():
    scored = {"entropy": {"score": -1.0}, "last": {"score": None}, "infomax": {"score": 0.1}}
    result = {"selections": scored, "config": {"transfer": {"phases": {"adapt": {"keep": None}}}}}
    assert rule_of(result, None) == "infomax" and rule_of(result, "entropy") == "entropy"
    with pytest.raises(Problem, match="last"):
        rule_of(result, "last")
