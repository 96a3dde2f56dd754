"""The jobs of a sweep, and their order on several workers."""

import itertools
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra import compose, initialize_config_dir

from xlearn.commands.jobs import jobs
from xlearn.commands.order import choose, groups
from xlearn.commands.progress import duration
from xlearn.commands.sweep import is_sweep
from xlearn.config.compose import choices, complete, register
from xlearn.config.folders import conf_folder
from xlearn.runtime.errors import Problem


@pytest.mark.parametrize(
    "words",
    [
        ["seed=0,1", "target.shots=1,null", "optimizer.lr=0.01"],
        ["transfer=finetune,lp_ft", "optimizer=sgd,adam", "optimizer.lr=0.1,0.2"],
        pytest.param(["seed=range(0,3)", "teacher/image=same,cnn", "target.shift=1.0,2.0"], marks=pytest.mark.slow),
        ["source=[blobs,dim],blobs", "trainable@transfer.phases.finetune.trainable=head_only,slow_backbone"],
        pytest.param(["transfer=glob(l*)", "augment=[],[crop]", "experiment=other"], marks=pytest.mark.slow),
        ["budget.transfer={steps:7},{epochs:3}", "seed=0,1", "++optimizer.weight_decay=0.1,0.2"],
    ],
)
def test_jobs_are_those_that_hydra_would_compose(toy, words):
    folder = Path(toy[1])
    register([folder])
    swept = {}
    for word in [*toy[2:], *words]:
        key, _, value = word.partition("=")
        swept[key] = value
    found = jobs([*toy[2:], *words], [folder])
    assert len(found) > 1
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        for job in found:
            own = {word.partition("=")[0]: word for word in job.overrides}
            composed = compose(
                "train",
                overrides=[own.get(key, f"{key}={value}") for key, value in swept.items()]
                + [f"hydra.searchpath=[file://{folder}]"],
                return_hydra_config=True,
            )
            assert job.content == {**complete(composed), "choices": choices(composed.hydra)}
            assert job.folder == Path(composed.hydra.run.dir).absolute()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seed=0,1", "hydra.sweep.subdir=same"], "seed=0 and seed=1 have the same folder"),
        (["transfer=glob(zzz*)"], "The sweep has no run"),
    ],
)
def test_a_sweep_that_would_lose_runs_is_refused(toy, words, told):
    register([Path(toy[1])])
    with pytest.raises(Problem, match=told):
        jobs([*toy[2:], *words], [Path(toy[1])])


def test_two_names_of_one_run_are_one_job_that_knows_both(toy):
    register([Path(toy[1])])
    words = ["objective=logit_adjustment,balanced_softmax,cross_entropy", "seed=0,1", "transfer=scratch,scratch"]
    found = jobs([*toy[2:], *words], [Path(toy[1])])
    assert [[each.content["choices"]["objective"] for each in job.every()] for job in found] == [
        *[["logit_adjustment", "balanced_softmax"]] * 2,
        *[["cross_entropy"]] * 2,
    ]
    assert {each.folder for each in found[0].every()} == {found[0].folder}


def test_which_commands_are_run_by_xlearn():
    assert is_sweep(["-m", "seed=0,1"]) and is_sweep(["seed=0,1", "--multirun", "--config-dir", "mine"])
    for words in (["seed=0"], ["-m", "hydra/launcher=joblib"], ["-m", "--cfg", "job"], ["-m", "hydra.launcher.n_jobs=2"]):
        assert not is_sweep(words)


class Toy(NamedTuple):
    name: str
    groups: frozenset[str]


def simulated(waiting: list[Toy], costs: dict[str, float], workers: int, choice) -> tuple[float, float]:
    """(seconds that workers waited for another one's phase, seconds until the end). A run computes its groups in turn."""
    waiting, done, computing = [*waiting], {}, {}
    free, waited, running = [0.0] * workers, 0.0, []
    while waiting:
        now = min(free)
        running = [each for each in running if each[0] > now]
        busy = {group for _, job in running for group in job.groups}
        job = waiting.pop(choice(waiting, busy, {group for group, end in done.items() if end <= now}))
        clock = now
        for group in sorted(job.groups):
            if group in computing and computing[group] > clock:
                waited += computing[group] - clock
                clock = computing[group]
            elif group not in computing:
                clock += costs[group[0]]
                computing[group] = done[group] = clock
        free[free.index(now)] = clock + 1
        running.append((clock + 1, job))
    return waited, max(free)


def test_nobody_waits_for_a_phase_that_another_worker_computes():
    """The 45 runs of the table of digits: 5 transfers, 3 numbers of labels, 3 seeds."""
    every = []
    for transfer, shots, seed in itertools.product(("scratch", "probe", "finetune", "lp_ft", "l2_sp"), (1, 5, 20), (0, 1, 2)):
        groups = {f"b{shots}{seed}"}
        groups |= {f"a{seed}"} if transfer != "scratch" else set()
        groups |= {f"p{shots}{seed}"} if transfer in ("probe", "lp_ft") else set()
        every.append(Toy(f"{transfer} {shots} {seed}", frozenset(groups)))
    costs = {"a": 8.0, "b": 1.0, "p": 0.5}
    waited, end = simulated(every, costs, 2, choose)
    in_order, later = simulated(every, costs, 2, lambda waiting, busy, done: 0)
    work = simulated(every, costs, 1, choose)[1]
    assert waited == 0 and in_order > 0
    assert end <= 1.1 * work / 2 and end <= later


def test_the_groups_of_real_runs(toy):
    register([Path(toy[1])])
    by_name = {
        " ".join(job.overrides): job.groups
        for job in jobs([*toy[2:], "transfer=scratch,finetune,linear_probe,lp_ft", "target.shots=1,2"], [Path(toy[1])])
    }
    one = {name.partition(" ")[0].partition("=")[2]: groups for name, groups in by_name.items() if name.endswith("=1")}
    assert one["scratch"] < one["finetune"]  # its baseline is the run without transfer
    assert one["linear_probe"] - one["scratch"] <= one["lp_ft"]  # the first phase of the longer chain
    two = by_name["transfer=finetune target.shots=2"]
    assert len(one["finetune"] & two) == 1  # the training of the source
    assert not one["scratch"] & by_name["transfer=scratch target.shots=2"]


def test_lengths_of_time():
    assert [duration(each) for each in (0.1, 1, 59, 89, 91, 3600, 5300, 5500)] == [
        "1 second", "1 second", "59 seconds", "89 seconds", "2 minutes", "60 minutes", "88 minutes", "2 hours",
    ]  # fmt: skip


def test_draws_have_the_training_of_a_source_in_common_only_if_the_source_has_its_own_draw(toy):
    register([Path(toy[1])])

    def common(*words):
        first, second = (groups(job.content) for job in jobs([*toy[2:], "transfer=finetune", *words], [Path(toy[1])]))
        return first & second

    assert not common("target.draw=0,1")
    assert len(common("target.draw=0,1", "source.blobs.draw=0")) == 1
