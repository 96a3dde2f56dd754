"""What adaptation cannot do is told in a sentence, before any training."""

import re

import pytest
from toys.runs import Runs
from toys.tasks import blobs, image_format

from xlearn.data.leakage import need_disjoint
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.runtime.errors import Problem


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), [])


CORAL = ["transfer=coral"]


@pytest.mark.parametrize(
    ("words", "values", "told"),
    [
        (
            ["transfer=scratch"],
            {},
            "phase scratch learns from labels of dim, but shots=0 leaves no labels. Raise target.shots, or use",
        ),
        (["transfer=finetune"], {}, "phase finetune learns from labels of dim, but shots=0 leaves no labels"),
        (["transfer=tent"], {}, "the network has no normalisation with parameters"),
        (["transfer=adabn"], {}, "the network has no normalisation with parameters"),
        ([*CORAL, "source=none"], {}, "trains on a source, but there is none. Choose one (source=mnist5k)"),
        ([*CORAL, "augment=mixup"], {}, "augment=mixup mixes labels, but some examples are unlabelled. Leave it out"),
        ([*CORAL, "batch_size=1"], {}, "Coral needs batches of 2 examples, but batches of blobs have 1 ("),
        (
            CORAL,
            {"shots": None},
            "phase adapt adapts to unlabelled examples of the target, but all examples of dim are labelled. Set target.shots=0",
        ),
        (
            [*CORAL, "transfer.adds={_target_: xlearn.sharing.Lora, rank: 2}"],
            {},
            "adds gives the target's network private layers, but a phase also reads sources",
        ),
        ([*CORAL, "joint.tasks=equal"], {}, "compares the domains in every step: joint.tasks samples one task"),
        (["transfer=adda", "transfer.carry=false"], {}, "carry=false copies nothing, and no phase trains head."),
        (
            ["transfer=kd", "transfer.phases.distill.reads=[source,target,target.unlabeled]"],
            {},
            "none of its objectives and penalties uses unlabelled examples. Add one that does, as in transfer=coral",
        ),
        (
            CORAL,
            {"classes": [0, 1]},
            "label spaces differ: blobs has c0, c1, c2, dim has c0, c1. Adaptation without labels needs the same classes",
        ),
        (CORAL, {"classes": [0, 1], "shots": 5}, "label spaces differ: blobs has c0, c1, c2, dim has c0, c1"),
        (CORAL, {"keep": "oracle", "val": 0.0}, "keep=oracle needs validation examples of the target. Raise target.val"),
        (CORAL, {"keep": "best_target"}, "transfer.phases.adapt.keep=best_target: "),
        (["transfer=tca"], {}, "tca: components=20: give 1 to 8, the width of the features"),
        (["transfer=tca"], {"keep": "oracle"}, "has a closed-form solution, so keep=oracle cannot select. Use keep=last"),
        (["transfer=source_only"], {"head": "other"}, "does not copy head.other3"),
    ],
)
def test_what_cannot_work_is_told_before_any_training(run, words, values, told):
    with pytest.raises(Problem, match=re.escape(told)):
        run(*words, **{"shots": 0, **values})
    assert not list(run.folder.rglob("metrics.jsonl")) and not list(run.folder.rglob("weights.safetensors"))


def test_a_source_may_not_bring_the_labels_of_what_counts_as_unlabelled():
    """The same rows under two names: with all labels as the source, without any as the target."""
    source, target = (
        prepare(TaskSource("blobs", where, blobs, {}, TaskOptions(shots=shots)), image_format(), 0)
        for where, shots in (("source.blobs", None), ("target", 0))
    )
    need_disjoint([source], target)
    with pytest.raises(Problem, match="knows the labels of 87 examples that are unlabelled"):
        need_disjoint([source], target, hidden=True)
    few = prepare(TaskSource("blobs", "source.blobs", blobs, {}, TaskOptions(shots=3)), image_format(), 0)
    with pytest.raises(Problem, match="knows the labels of 9 examples"):
        need_disjoint([few], target, hidden=True)


def test_a_phase_that_adapts_may_train_no_head(run):
    """With the last weights no score of a head is needed."""
    words = [
        "transfer=coral", "transfer.phases.adapt.objective={_target_: xlearn.objectives.Afn, weight: 0.01}",
        "transfer.phases.adapt.keep=last",
        "trainable@transfer.phases.adapt.trainable=without_heads",
    ]  # fmt: skip
    _, result = run(*words, shots=0)
    assert result["metrics"]["accuracy"] > 0.3


def test_a_balance_of_one_labelled_task_is_refused(run):
    """Adaptation without labels has a single labelled task, or several sources."""
    with pytest.raises(Problem, match="no phase reads more than one task"):
        run("transfer=coral", "balance=uncertainty", shots=0)
