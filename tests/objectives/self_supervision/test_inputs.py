"""Learning without labels: which inputs are read, what is refused, and when an embedding counts as collapsed."""

from functools import partial

import pytest
import torch
from toys.runs import Runs

from xlearn.data.formats import formats
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task import Task
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks._optdigits import optdigits
from xlearn.data.unlabeled import HIDDEN, inputs
from xlearn.encoders.mlp import Mlp
from xlearn.objectives.self_supervision.collapse import CollapseMonitor, described
from xlearn.runtime.errors import Problem


def task(**options: object) -> Task:
    source = TaskSource("optdigits", "target", optdigits, {}, TaskOptions(**options))
    images = {"image": {"size": None, "channels": None}}
    return prepare(source, formats([source], images, {"image": partial(Mlp, widths=[8])}, 0), 0)


def test_the_inputs_are_the_same_whatever_the_number_of_labels():
    few, more, every = (inputs(task(shots=shots)) for shots in (1, 20, None))
    assert few.train.rows.tolist() == more.train.rows.tolist() == every.train.rows.tolist()
    assert few.fingerprint == more.fingerprint == every.fingerprint
    assert inputs(task(shots=1, val=0.3)).fingerprint != few.fingerprint


def test_no_input_is_of_the_test_split_or_of_a_validation_split_and_no_label_is_left():
    whole = task(shots=None)
    bare = inputs(task(shots=3))
    held = torch.cat([whole.test.examples.rows, whole.val.rows])
    assert not torch.isin(bare.train.rows, held).any()
    assert torch.equal(bare.train.rows, whole.train.rows)
    assert bool((bare.train.labels == HIDDEN).all())
    assert len(bare.val) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["pretrain=supervised", "pretrain.phases.pretrain.reads=[source.inputs,target.inputs]"],
            r"reads=\[source.inputs,target.inputs\] hides the labels",
        ),
        (["pretrain=simclr", "pretrain.phases.pretrain.keep=best_source"], "but the phase trains no head"),
        (["pretrain=simclr", "budget.pretrain.patience=2"], "but the phase trains no head"),
        (["pretrain=simclr", "pretrain.phases.pretrain.trainable=null"], "heads would stay random"),
        (["pretrain=simclr", "views=none"], "no view changes the image of blobs"),
        (["pretrain=supcon", "views=none"], "no view changes the image of blobs"),
        (["pretrain=simclr", "views.resized_crop.largest=1.5"], "largest=1.5"),
    ],
)
def test_what_could_not_be_learned_is_refused_before_training(run, words, told):
    with pytest.raises(Problem, match=told.replace(".", r"\.")):
        run(*words)


def test_few_labels_after_all_inputs_without_labels(run):
    words = ["pretrain=vicreg", "source=none", "transfer=finetune"]
    (_, one), (_, two) = run(*words, shots=1), run(*words, shots=2)
    assert one["phases"][0]["name"] == "pretrain"
    assert two["phases"][0]["cached"], "the same inputs, whatever the number of labels: nothing is trained again"
    assert not one["phases"][0]["cached"]


def test_a_single_point_has_collapsed_and_a_sphere_has_not():
    generator = torch.Generator().manual_seed(0)
    sphere = described(torch.randn(4096, 16, generator=generator))
    assert sphere["spread"] == pytest.approx(1, abs=0.02)
    assert sphere["rank"] == pytest.approx(16, abs=0.1)
    assert not sphere["collapsed"]
    point = described(torch.ones(64, 16) + 1e-3 * torch.randn(64, 16, generator=generator))
    assert point["collapsed"]
    assert point["rank"] < 1.2


def test_the_rank_of_equally_long_directions_is_their_number():
    features = torch.eye(8)[:3].repeat(5, 1)
    assert described(features)["rank"] == pytest.approx(3)
    assert described(torch.zeros(4, 8))["collapsed"]


def test_the_monitor_tells_the_last_features_of_each_role_without_their_graph():
    monitor = CollapseMonitor()
    assert monitor.log() == {}
    values = torch.randn(8, 4, requires_grad=True)
    monitor.note("unlabeled", torch.ones(8, 4))
    monitor.note("unlabeled", values)
    assert not monitor.last["unlabeled"].requires_grad
    assert monitor.log() == {"embedding": {"unlabeled": described(values.detach())}}
