"""Runs of meta-learning from end to end: each method, what it is compared with, and data of every kind."""

import pytest
import torch
from toys.runs import needs_digits, sign_runs

from xlearn.base_learners import few_shot
from xlearn.data.provenance import read
from xlearn.data.tasks._sinusoid import sinusoid
from xlearn.runtime.errors import Problem
from xlearn.runtime.memory import Kept
from xlearn.runtime.storage import read_tensors

WORDS = [
    "source=signs", "target=others", "episodes.ways=3", "episodes.shots=2", "episodes.queries=3", "episodes.tasks=2",
    "episodes.test=12", "episodes.val=4", "evaluations=1", "budget.pretrain.epochs=null", "budget.pretrain.steps=6",
    "budget.transfer.steps=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sign_runs(tmp_path_factory.mktemp("runs"), WORDS)


def slow(*words):
    return pytest.param(*words, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("pretrain", "moments"),
    [
        ("maml", 4),
        ("meta_sgd", 2),
        ("protonet", 1),
        slow("fomaml", 4),
        slow("anil", 11),
        slow("matching", 1),
        slow("reptile", 11),
    ],
)
def test_each_method_is_measured_on_tasks_of_other_classes(run, pretrain, moments):
    small = ["pretrain.phases.meta.batches.shots=4"] if pretrain == "reptile" else []
    folder, result = run(f"pretrain={pretrain}", "transfer=episodes", *small)
    found = result["episodes"]
    assert found["ways"] == 3 and found["shots"] == 2 and found["count"] == 12
    assert found["curve"]["step"] == [*range(moments)]
    predictions = read_tensors(folder / "predictions.safetensors")
    hits = (predictions["logits"].argmax(2) == predictions["labels"]).double().mean(1)
    assert result["metrics"]["accuracy"] == pytest.approx(float(hits.mean())) == pytest.approx(found["curve"]["accuracy"][-1])
    right = predictions["correct.run"]
    assert right.shape == (12, 9) and float(right.double().mean()) == pytest.approx(result["metrics"]["accuracy"])
    compared = result["baseline"]["metrics"]["accuracy"]
    assert float(predictions["correct.baseline"].double().mean()) == pytest.approx(compared)
    assert found["interval"] == pytest.approx(1.96 * float(hits.std()) / 12**0.5)
    assert result["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert predictions["rows"].shape == (12, 9)
    # The rows of a query are those of its label: twelve of each sign.
    assert bool(((predictions["rows"] // 12).unflatten(1, (3, 3)).diff(dim=2) == 0).all())
    assert result["config"]["transfer"]["phases"] == {} and [each["name"] for each in result["phases"]] == ["meta"]
    # The weights that are measured are those that were learned, heads and rates among them.
    carried = (folder / "transfer.json").read_text(encoding="utf-8")
    assert '"fresh": {}' in carried and ("rates.encoder" in carried) is (pretrain == "meta_sgd")


@pytest.mark.parametrize("transfer", ["episodes_probe", slow("episodes_centroid"), slow("episodes_finetune")])
def test_a_supervised_network_is_measured_on_the_same_tasks(run, transfer):
    (folder, result), (other, _) = run("pretrain=supervised", f"transfer={transfer}"), run("pretrain=maml", "transfer=episodes")
    one, two = (read_tensors(each / "predictions.safetensors") for each in (folder, other))
    assert torch.equal(one["rows"], two["rows"]) and torch.equal(one["labels"], two["labels"])
    assert result["metrics"]["accuracy"] > 0.4


@pytest.mark.slow
def test_inputs_without_labels_are_those_of_the_source_where_all_of_the_target_is_measured(run):
    folder, result = run("pretrain=simclr", "transfer=episodes_probe")
    # Of the two data sets one was learned from, and the other is the target.
    [learned] = read(folder).blocks
    [source] = [each["examples"] for each in result["data"].values() if each["name"] != "others"]
    assert len(learned["image"]) == source["train"] + source["val"] + source["unlabeled"] > 20
    assert len(read_tensors(folder / "predictions.safetensors")["rows"].unique()) > 20
    assert [each["examples"]["train"] for each in result["data"].values() if each["name"] == "others"] == [0]


def test_maml_is_fine_tuned_as_any_other_source(run):
    """The encoder's weights travel; the head of the episodes does not."""
    folder, result = run("pretrain=maml", "transfer=finetune")
    assert "episodes" not in result and [each["name"] for each in result["phases"]] == ["meta", "finetune"]
    carried = (folder / "transfer.json").read_text(encoding="utf-8")
    copied, fresh = carried.index('"copied"'), carried.rindex('"fresh"')
    assert copied < carried.index("encoder.image.blocks.0.0.weight") < fresh < carried.index("head.signs")


@pytest.mark.slow
def test_what_a_run_is_compared_with_does_not_depend_on_the_runs_before(run, monkeypatch):
    """Where the baseline learns each task by the run's own base learner, ANIL's is not MAML's."""
    words = "pretrain=anil", "transfer=episodes", "baseline.base_learner=null"
    monkeypatch.setattr(few_shot, "_held", Kept())
    alone = run(*words)[1]["baseline"]["episodes"]
    monkeypatch.setattr(few_shot, "_held", Kept())
    run("pretrain=maml", *words[1:])
    assert run(*words)[1]["baseline"]["episodes"] == alone


@pytest.mark.slow
def test_what_cannot_be_is_told(run):
    for words, told in (
        (("pretrain=supervised", "transfer=episodes"), "has none. Use pretrain=maml"),
        (("pretrain=maml", "transfer=episodes", "episodes.ways=20"), "episodes.ways=20: .* has 12 classes"),
        (("pretrain=maml", "transfer=episodes", "metric=mse"), "metric=mse: others predicts classes"),
        (("pretrain=maml", "transfer=episodes", "episodes.shots=11"), "episodes.shots=11 and episodes.queries=3: class"),
        (("pretrain=maml", "transfer=episodes", "pretrain.phases.meta.base_learner.rate=-1"), "rate=-1.* more than 0"),
        (("pretrain=reptile", "transfer=episodes", "pretrain.phases.meta.batches.shots=1"), "minibatch=2: give 1 to 1"),
        (
            ("pretrain=maml", "transfer=episodes", "pretrain.phases.meta.batches.ways=4"),
            "a head for 4 classes",
        ),
        (
            ("pretrain=protonet", "transfer=episodes", "pretrain.phases.meta.reads=[target]"),
            r"reads=\[target\]: all examples of a target",
        ),
        (
            ("pretrain=supervised", "transfer=episodes_probe", "pretrain.phases.pretrain.reads=[source,target]"),
            r"reads=\[source,target\]: all examples",
        ),
        (("pretrain=simclr", "transfer=episodes_probe", "source=none"), r"reads=\[source.inputs,target.inputs\]: all examples"),
        (
            ("pretrain=protonet", "transfer=episodes", "target.folds=5", "target.fold=3"),
            "(?s)target.folds=5: all.*target.fold=3",
        ),
        (("pretrain=protonet", "transfer=episodes", "episodes.ways=1"), "episodes.ways=1: signs needs at least 2 classes"),
        (("pretrain=protonet", "transfer=episodes", "target=signs"), "All examples of a target of episodes are measured"),
    ):
        with pytest.raises(Exception, match=told):
            run(*words)


SINES = [
    "source=sinusoid", "target=sinusoid", "target.seed=1", "episodes.ways=1", "metric=mse", "encoder/tabular=mlp",
    "source.sinusoid.functions=60", "target.functions=30", "episodes.shots=5", "budget.pretrain.steps=4",
]  # fmt: skip


def test_sine_waves_are_learned_from_few_points(run):
    folder, result = run(*SINES, "pretrain=maml", "transfer=episodes", "pretrain.phases.meta.base_learner.rate=0.01")
    predictions = read_tensors(folder / "predictions.safetensors")
    errors = (predictions["logits"] - predictions["labels"]).square().flatten(1).mean(1)
    assert result["metrics"] == {"mse": pytest.approx(float(errors.mean()), rel=1e-5)} and result["majority"] is None
    assert result["gain"]["mse"] == pytest.approx(result["baseline"]["metrics"]["mse"] - result["metrics"]["mse"])
    # What was measured on are the values at these rows.
    values = sinusoid(functions=30, seed=1).labels[:, 1]
    assert torch.equal(predictions["labels"][:, :, 0], values[predictions["rows"]])


@pytest.mark.slow
def test_sine_waves_are_refused_where_classes_are_meant(run):
    with pytest.raises(Problem, match="metric=accuracy: sinusoid predicts numbers. Set metric=mse"):
        run(*SINES, "pretrain=maml", "transfer=episodes", "metric=accuracy")
    with pytest.raises(Problem, match="episodes.ways=2: sinusoid needs one function per episode. Set episodes.ways=1"):
        run(*SINES, "pretrain=maml", "transfer=episodes", "episodes.ways=2")
    with pytest.raises(Problem, match="made of the same data"):  # the same functions, at other points
        run(*SINES, "pretrain=maml", "transfer=episodes", "target.seed=0", "target.points=20")
    with pytest.raises(Problem, match="predicts the values of many functions"):
        run(*SINES, "pretrain=supervised", "transfer=episodes_finetune")


@pytest.mark.slow
def test_maml_learns_sine_waves(run):
    """Five points say which wave it is, after the learning of others, and little without."""
    words = [each for each in SINES if "functions" not in each and "steps" not in each]
    more = ["source.sinusoid.functions=400", "target.functions=100", "budget.pretrain.steps=1500", "episodes.tasks=10"]
    _, result = run(*words, *more, "pretrain=maml", "transfer=episodes", "pretrain.phases.meta.base_learner.rate=0.01")
    assert result["metrics"]["mse"] < 0.5 * result["baseline"]["metrics"]["mse"]


NEWS = [
    "source=bbc_news", "source.bbc_news.classes=[business,entertainment,politics]", "target=bbc_news",
    "target.classes=[sports,tech]", "episodes.ways=2", "text.length=32", "optimizer.lr=0.003",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pretrain", ["maml", "protonet"])
def test_texts_of_other_topics_are_learned_from_few(run, pretrain):
    _, result = run(*NEWS, f"pretrain={pretrain}", "transfer=episodes")
    assert result["majority"]["accuracy"] == 0.5 and 0 < result["metrics"]["nll"] < 10
    [phase] = result["phases"]
    # A recurrent layer cannot be vectorised, and says so where there is an inner loop.
    loops = pretrain == "maml"
    assert ("not_vectorised" in result["episodes"]) is loops
    assert ("cannot be vectorised" in phase.get("note", "")) is loops


@pytest.mark.slow
@needs_digits
@pytest.mark.parametrize("pretrain", ["maml", "protonet"])
def test_digits_of_another_speaker_are_learned_from_few(run, pretrain):
    """Each speaker's digits are classes of their own: an episode is of one speaker."""
    sounds = ["source=[fsdd_george,fsdd_jackson]", "target=fsdd_theo", "episodes.ways=5", "budget.pretrain.steps=30"]
    _, result = run(*sounds, f"pretrain={pretrain}", "transfer=episodes", "optimizer.lr=0.003")
    assert result["metrics"]["accuracy"] > result["majority"]["accuracy"] + 0.1
    assert len(result["data"]) == 3
