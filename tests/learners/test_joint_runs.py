"""Tasks learned together, from the command line: measured each, against each alone, and refused where it cannot work."""

import json
from pathlib import Path

import pytest
import torch
from toys.runs import only, results

from xlearn.commands.check import main as check
from xlearn.commands.train import main
from xlearn.runtime.storage import read_tensors

JOINT = ["transfer=joint", "sharing=hard"]


@pytest.fixture
def tasks(toy):
    """The toy tasks, and two more that are made of the source's images."""
    folder = Path(toy[1]) / "task"
    (folder / "first.yaml").write_text(
        "# Is it the first?\n_target_: toys.tasks.blobs\ngroups: {first: [c0], other: [c1, c2]}\n"
    )
    (folder / "last.yaml").write_text("# Is it the last?\n_target_: toys.tasks.blobs\ngroups: {other: [c0, c1], last: [c2]}\n")
    return [*toy, "source=[blobs,first,last]"]


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def refused(words, capsys):
    assert main(words) == 1
    return capsys.readouterr().err


def test_every_task_is_measured_beside_learning_it_alone(tasks, capsys):
    assert main([*tasks, *JOINT, "budget.transfer.steps=150"]) == 0  # until each single task has learned
    folder, result = only()
    assert [*result["tasks"]] == ["blobs", "first", "last", "target"]
    changes = []
    for role, task in result["tasks"].items():
        together, single = task["metrics"]["nll"], task["single"]["metrics"]["nll"]
        assert task["gain"]["nll"] == pytest.approx(single - together)
        changes.append(-(together - single) / single)
        assert task["name"] == {"target": "dim"}.get(role, role)
    assert result["delta_m"]["nll"] == pytest.approx(sum(changes) / 4)
    # The target's single task is the run's baseline, and its numbers are the run's.
    assert result["tasks"]["target"]["metrics"] == result["metrics"]
    assert result["tasks"]["target"]["single"]["metrics"] == result["baseline"]["metrics"]
    told = capsys.readouterr().out
    assert "delta_m" in told and "dim (target)" in told
    assert result["cost"]["parameters"] == result["baseline"]["cost"]["parameters"]
    looks = [line for line in lines(folder) if line["phase"] == "joint"]
    assert {*looks[0]["losses"]} == {"blobs", "first", "last", "target"}
    assert {*looks[0]["cosines"]} == {
        "blobs first", "blobs last", "blobs target", "first last", "first target", "last target",
    }  # fmt: skip
    assert all(-1 <= each <= 1 for line in looks for each in line["cosines"].values())


def test_there_is_no_delta_m_over_a_single_task_that_has_not_learned(tasks, capsys):
    assert main([*tasks, *JOINT, "budget.transfer.steps=1", "optimizer.lr=1e-9"]) == 0
    _, result = only()
    told = capsys.readouterr().out
    assert result["delta_m"] == {} and "delta_m: none" in told and "(not learned)" in told
    assert not any(task["single"]["learned"] for task in result["tasks"].values())
    assert all("accuracy" in task["gain"] for task in result["tasks"].values())


def test_a_single_task_is_what_a_run_of_this_task_alone_is(tasks):
    assert main([*tasks, *JOINT, "experiment=joint"]) == 0
    words = [word for word in tasks if not word.startswith(("source=", "target="))]
    assert main([*words, "experiment=alone", "source=none", "target=first", "target.shots=null", "transfer=scratch"]) == 0
    [together], [alone] = results(Path("outputs/joint")).values(), results(Path("outputs/alone")).values()
    assert together["tasks"]["first"]["single"]["metrics"] == alone["metrics"]


@pytest.mark.slow
def test_balances_and_sharings_leave_the_single_tasks_alone(tasks):
    assert main(["-m", *tasks, "transfer=joint", "sharing=hard,mmoe", "balance=equal,pcgrad"]) == 0
    found = [*results().values()]
    assert len(found) == 4
    spent = [phase for each in found for task in each["tasks"].values() for phase in task["single"]["phases"]]
    assert len({phase["key"] for phase in spent}) == 4
    assert len({each["phases"][0]["key"] for each in found}) == 4
    assert all(each["tasks"]["first"]["single"]["metrics"] == found[0]["tasks"]["first"]["single"]["metrics"] for each in found)


def test_weights_of_the_tasks_are_logged(tasks):
    assert main([*tasks, *JOINT, "balance=random"]) == 0
    folder, _ = only()
    looks = [line for line in lines(folder) if line["phase"] == "joint"]
    assert all(sum(line["weights"].values()) == pytest.approx(4, rel=1e-4) for line in looks)
    assert looks[0]["weights"] != looks[-1]["weights"]


def test_the_weights_that_are_left_serve_the_target_by_themselves(tasks):
    """A checkpoint of tasks learned together is a plain network, low-rank parts merged in: it predicts the same."""
    assert main([*tasks, "transfer=joint", "sharing=lora", "sharing.rank=2", "experiment=joint"]) == 0
    folder, result = only(Path("outputs/joint"))
    assert not [name for name in read_tensors(folder / "weights.safetensors") if name.startswith("sharing.")]
    words = [word for word in tasks if not word.startswith("source=")]
    start = ["source=none", "pretrain=checkpoint", f"pretrain.start.path={folder.resolve()}", "transfer=source_only"]
    assert main([*words, *start, "experiment=again"]) == 0
    again, _ = only(Path("outputs/again"))
    before, after = (read_tensors(each / "predictions.safetensors")["logits"] for each in (folder, again))
    assert torch.allclose(before, after, atol=1e-4)
    assert result["cost"]["trained"] > result["cost"]["parameters"]


@pytest.mark.slow
def test_together_then_alone(tasks):
    assert main(["-m", *tasks, "transfer=joint,joint_finetune"]) == 0
    joint, then = sorted(results().values(), key=lambda each: each["choices"]["transfer"])
    assert [phase["name"] for phase in then["phases"]] == ["joint", "finetune"]
    assert then["phases"][0]["key"] == joint["phases"][0]["key"]


@pytest.mark.slow
def test_progressive_columns_are_frozen_when_the_next_begins(tasks):
    words = [*tasks, "transfer=sequential", "sharing=progressive"]
    assert main([*words, "experiment=both"]) == 0
    _, both = only(Path("outputs/both"))
    # Trained on longer, the target changes nothing of what the sources were.
    assert main([*words, "experiment=longer", "transfer.phases.target.steps=60"]) == 0
    _, longer = only(Path("outputs/longer"))
    assert longer["phases"][0]["key"] == both["phases"][0]["key"]
    for role in ("blobs", "first", "last"):
        assert both["tasks"][role]["metrics"] == longer["tasks"][role]["metrics"]
    assert both["tasks"]["target"]["metrics"] != longer["tasks"]["target"]["metrics"]


@pytest.mark.slow
def test_each_task_may_keep_its_own_best_step(tasks):
    words = [*tasks, *JOINT, "budget.transfer.steps=40", "evaluations=8", "optimizer.lr=0.05"]
    found = {}
    for keep in ("best_mean", "best_each", "best_target"):
        assert main([*words, f"budget.transfer.keep={keep}", f"experiment={keep}"]) == 0
        folder, found[keep] = only(Path("outputs") / keep)
        looks = [line for line in lines(folder) if line["phase"] == "joint" and "single" not in line]
        scores = {role: [line[f"{role}_val_accuracy"] for line in looks] for role in found[keep]["tasks"]}
        kept = found[keep]["phases"][0]["kept_step"]
        if keep == "best_each":
            for role, each in scores.items():
                assert kept[role] == looks[each.index(max(each))]["step"]
        elif keep == "best_mean":
            means = [sum(each) for each in zip(*scores.values(), strict=True)]
            assert kept == looks[means.index(max(means))]["step"]
    assert found["best_each"]["metrics"] == found["best_target"]["metrics"]
    assert found["best_each"]["selection"] == ["best_each"]
    # Done again, from the cache, it is the same.
    assert main([*words, "budget.transfer.keep=best_each", "experiment=again"]) == 0
    _, again = only(Path("outputs/again"))
    assert again["phases"][0]["cached"] and again["tasks"] == {
        role: {**task, "single": again["tasks"][role]["single"]} for role, task in found["best_each"]["tasks"].items()
    }


def test_a_task_is_drawn_for_each_step(tasks):
    assert main([*tasks, "transfer=joint", "joint.tasks=temperature", "budget.transfer.steps=40"]) == 0
    _, result = only()
    assert {*result["tasks"]} == {"blobs", "first", "last", "target"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer=finetune", "sharing=mmoe"], "sharing=mmoe is for tasks that are learned together"),
        (["transfer=finetune", "balance=pcgrad", "source=blobs"], "balance=pcgrad weighs the losses of several tasks"),
        (["transfer=joint", "balance=pcgrad", "joint.tasks=equal"], "needs every task in every step"),
        (["transfer=joint", "joint.tasks=al"], "joint.tasks=al: Did you mean 'all'"),
        (["transfer=joint", "joint.temperature=0"], "joint.temperature=0"),
        (["transfer=joint", "joint.statistics=task"], "no batch normalisation"),
        (["transfer=joint", "sharing=branch", "sharing.first=9"], "sharing.first=9: encoder.image has 2 blocks"),
        (["transfer=joint", "sharing=sluice", "sharing.layers=[5]"], "encoder.image has 2 blocks. Give 0 to 1"),
        (["transfer=joint", "sharing=sluice", "sharing.subspaces=3"], "has 16 channels, no multiple of it"),
        (["transfer=joint", "sharing=lora", "sharing.rank=9"], "has rank 8 at most. Give 1 to 8"),
        (["transfer=joint", "sharing=adapter", "sharing.rank=0"], "rank=0"),
        (["transfer=joint", "sharing=mmoe", "sharing.experts=1"], "sharing.experts=1: give 2 or more"),
        (["transfer=joint", "sharing=mmoe", "sharing.experts=90000000"], "GiB are free. Give fewer"),
        (["transfer=joint", "sharing=ple", "sharing.common=90000000"], "GiB are free. Give fewer"),
        (["transfer=joint", "balance=pcgrad", "balance.at=features"], "do not share their features"),
        (["transfer=joint", "balance=cagrad", "balance.c=2"], "balance.c=2"),
        (["transfer=joint", "sharing=hard", "budget.transfer.keep=best_al"], "best_al: Did you mean"),
        (["target=numbers", "target.head=x", "transfer=joint"], "shares no parameter with"),
        (
            ["target=numbers", "target.head=x", "transfer=joint", "source=blobs", "sharing=cross_stitch"],
            "no two tasks have a common modality",
        ),
        (
            ["target=numbers", "target.head=x", "transfer=joint", "source=blobs", "sharing=soft"],
            "no two tasks have a common modality",
        ),
        (["source.first.classes=[c0,c1]"], "source.first.groups: source.first.classes is set too"),
        (["source.first.groups.other=[c9]"], "source.first.groups: 'c9' is no class"),
        (["source.first.groups.other=[]"], "give at least 2 classes"),
    ],
)
def test_wrong_words_are_refused_before_training(words, told, tasks, capsys):
    assert told in refused([*tasks, *words], capsys)
    assert not results()


def test_check_tells_the_same(tasks, capsys):
    assert check([*tasks, "transfer=joint", "sharing=mmoe", "balance=nash"]) == 0
    assert check([*tasks, "transfer=joint", "sharing=lora", "sharing.rank=99"]) == 1
    assert "rank=99" in capsys.readouterr().err


def test_the_task_whose_loss_breaks_is_named(tasks, capsys, monkeypatch, own_cache):
    from torch.nn import functional

    plain = functional.cross_entropy

    def broken(logits, labels, **options):
        loss = plain(logits, labels, **options)
        return loss * float("nan") if logits.shape[1] == 3 and len(labels) > 20 else loss

    monkeypatch.setattr(functional, "cross_entropy", broken)
    told = refused([*tasks, *JOINT], capsys)
    assert "The loss 'blobs' became nan in phase joint at step 1 of 30" in told and "check the data of blobs" in told
    told = refused([*tasks, *JOINT, "balance=upgrad"], capsys)
    assert "The loss of task blobs is nan" in told


@pytest.mark.slow
def test_the_order_of_the_sources_says_nothing(tasks):
    words = [word for word in tasks if not word.startswith("source=")]
    for name, source in (("one", "source=[blobs,first]"), ("other", "source=[first,blobs]")):
        assert main([*words, source, "transfer=joint", "sharing=cross_stitch", f"experiment={name}"]) == 0
    [one], [other] = results(Path("outputs/one")).values(), results(Path("outputs/other")).values()
    assert one["tasks"] == {role: {**task, "single": one["tasks"][role]["single"]} for role, task in other["tasks"].items()}


@pytest.mark.slow
def test_more_that_is_refused(tasks, capsys):
    joint = [*tasks, "transfer=joint"]
    assert "copies none" in refused([*joint, "pretrain=checkpoint", "pretrain.start.path=x"], capsys)
    assert "is for tasks that are learned together" in refused([*joint, "sharing=lora", "transfer.carry=true"], capsys)
    assert "no phase reads a source" in refused([*joint, "transfer.phases.joint.reads=[target]"], capsys)
    assert "joint.statistics=task is for tasks" in refused([*tasks, "joint.statistics=task"], capsys)
    told = refused([*joint, "budget.transfer.keep=best_each", "target.val=0"], capsys)
    assert "need validation examples of the target. Raise target.val" in told
