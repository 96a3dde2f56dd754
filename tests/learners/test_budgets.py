"""Equal budgets: the baseline lasts as long as the run reads the target's labels."""

from dataclasses import replace
from functools import partial

import pytest
from toys.phases import phase
from toys.runs import only
from toys.tasks import shifted_tasks

from xlearn.commands.train import main
from xlearn.learners.budgets import equal, steps_of
from xlearn.phases.solving import ClosedForm
from xlearn.solvers.bbse import Bbse


def steps(result: dict, *path: str) -> int:
    for name in path:
        result = result[name]
    return sum(each["steps"] for each in result["phases"])


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (["transfer=finetune"], 30),
        (["transfer=linear_probe", "budget.transfer.steps=4", "transfer.phases.probe.steps=7"], 7),
        (["transfer=lp_ft"], 60),
        (["transfer=wise_ft", "budget.transfer.steps=4", "transfer.phases.probe.steps=7"], 11),
        (["transfer=self_distillation"], 60),
        (["transfer=finetune", "budget.transfer.steps=null", "budget.transfer.epochs=2", "batch_size=5"], 6),
        (["transfer=lp_ft", "baseline.phases.scratch.steps=9"], 9),
        (["transfer=source_only"], 30),  # no phase: the budget of the transfer
        (["transfer=kd"], 30),
    ],
)
def test_the_baseline_lasts_as_long_as_the_phases_that_read_the_target_s_labels(words, total, toy):
    assert main([*toy, "target.shots=5", *words]) == 0
    _, result = only()
    assert steps(result, "baseline") == result["baseline"]["steps"] == total
    own = [each["steps"] for each in result["phases"]]
    assert result["steps"] == (0 if "source_only" in words[0] else total if "baseline" not in words[-1] else 60)
    assert result["steps"] <= sum(own)


def test_each_single_task_lasts_as_long_as_its_labels_are_read(toy):
    """`joint_finetune` reads the source in one phase, the target in both; `sequential` reads each in one."""
    assert main([*toy, "target.shots=5", "pretrain=none", "transfer=joint_finetune", "transfer.phases.finetune.steps=8"]) == 0
    _, result = only()
    assert (steps(result["tasks"], "target", "single"), steps(result["tasks"], "blobs", "single")) == (38, 30)


def test_two_transfers_of_equal_steps_share_one_baseline(toy):
    assert main([*toy, "target.shots=5", "transfer=finetune"]) == 0
    words = ["transfer=lp_ft", "transfer.phases.probe.steps=10", "transfer.phases.finetune.steps=20", "experiment=other"]
    assert main([*toy, "target.shots=5", *words]) == 0
    from toys.runs import results

    first, second = (each["baseline"] for each in results().values())
    assert [each["key"] for each in first["phases"]] == [each["key"] for each in second["phases"]]
    assert first["metrics"] == second["metrics"] and any(each["baseline"]["phases"][0]["cached"] for each in results().values())


def test_several_phases_share_the_steps_and_a_closed_form_has_none():
    roles = shifted_tasks()
    own = phase(steps=25, reads=("target",))
    solved = replace(own, solver=ClosedForm(partial(Bbse)))
    assert steps_of([own, solved, phase(steps=9, reads=("source",))], roles, "target") == 25
    assert steps_of([own, phase(steps=9, reads=("source", "target"))], roles, "mnist5k") == 9
    made = equal([phase(steps=3), phase(steps=3), phase(epochs=1, steps=None)], [own, own], roles, "target")
    assert [(each.steps, each.epochs) for each in made] == [(17, None), (16, None), (17, None)]
    kept = equal([phase(steps=3, sets_length=True), phase(steps=4)], [own], roles, "target")
    assert [each.steps for each in kept] == [3, 4]
