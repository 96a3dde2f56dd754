"""A network that learns one task only reads it in a form that does not depend on the other tasks of the run."""

import pytest
import torch
from toys.runs import SINGLE, results, tasks_in

from xlearn.commands.train import main
from xlearn.config.component import component
from xlearn.data.formats import formats, own_formats
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task import TabularSpec
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import Raw

NODE = "# Numbers\n_target_: toys.tasks.numbers\nseed: {}\n"
WORDS = ["budget=quick", "encoder/tabular=mlp", *SINGLE]


@pytest.fixture
def tables(tmp_path):
    """Three tasks of the same columns, with other means."""
    return [*tasks_in(tmp_path / "tables", first=NODE.format(1), second=NODE.format(2), goal=NODE.format(3)), *WORDS]


def by_source():
    """The results by the names of source and transfer."""
    return {(*result["config"]["source"], result["choices"]["transfer"]): result for result in results().values()}


def shifted(by: float, columns=("a", "b")):
    values = torch.arange(40.0).reshape(20, 2) + by
    labels = torch.arange(2).repeat(10)
    return lambda: Raw({"tabular": values}, labels, ("x", "y"), "toy", columns=columns)


def source(name, where, load, **options):
    return TaskSource(name, where, load, {}, TaskOptions(**options))


def encoders():
    return {"tabular": component({"_target_": "xlearn.encoders.TabularMlp", "widths": [4]}, "encoder.tabular")}


def test_a_scaling_is_learned_from_the_task_alone():
    target, far = source("near", "target", shifted(0)), source("far", "source.far", shifted(1000))
    given = formats([far, target], {}, encoders(), 0)
    own = own_formats(target, given, {}, encoders(), 0)
    assert own.keys() == {"tabular"} and own["tabular"].spec != given["tabular"].spec
    task = prepare(target, {**given, **own}, 0)
    rows = task.training
    values = task.train.whole.inputs["tabular"][rows]
    assert values.mean(0) == pytest.approx([0, 0], abs=1e-6)
    assert values.std(0, correction=0) == pytest.approx([1, 1], abs=1e-6)
    # The same as without a source, and nothing if nothing differs.
    assert own["tabular"].spec == formats([target], {}, encoders(), 0)["tabular"].spec
    assert own_formats(target, own, {}, encoders(), 0) == {}


@pytest.mark.slow
def test_an_unseen_domain_is_read_for_nothing(tables):
    """Means and deviations are those of the source alone, unless a phase reads the target."""
    unseen = ["source=first", "target=goal", "target.shots=0"]
    assert main([*tables, *unseen, "transfer=source_only"]) == 0
    assert main([*tables, *unseen, "transfer=mmd"]) == 0
    assert main([*tables, "source=none", "target=first", "target.shots=null", "transfer=scratch"]) == 0
    found = {result["choices"]["transfer"]: result["forms"]["tabular"]["statistics"] for result in results().values()}
    assert found["source_only"] == found["scratch"] != found["mmd"]


def test_the_order_of_columns_is_the_tasks_own():
    target, other = source("own", "target", shifted(0, ("b", "a"))), source("other", "source.other", shifted(5, ("a", "b")))
    given = formats([other, target], {}, encoders(), 0)
    assert isinstance(given["tabular"].spec, TabularSpec) and given["tabular"].spec.columns == ("a", "b")
    assert own_formats(target, given, {}, encoders(), 0)["tabular"].spec.columns == ("b", "a")


def test_the_baseline_of_numbers_does_not_depend_on_the_source(tables):
    for name in ("first", "second"):
        assert main([*tables, f"source={name}", "target=goal", "transfer=finetune"]) == 0
    assert main([*tables, "source=first", "target=goal", "transfer=scratch"]) == 0
    found = by_source()
    one, other, scratch = found["first", "finetune"], found["second", "finetune"], found["first", "scratch"]
    assert one["baseline"]["metrics"] == other["baseline"]["metrics"]
    # It is the same computation: the second run finds it in the cache.
    assert [each.get("cached", False) for each in one["baseline"]["phases"]] == [False]
    assert [each.get("cached", False) for each in other["baseline"]["phases"]] == [True]
    assert one["forms"] != other["forms"] and one["metrics"] != other["metrics"]
    # A run from scratch is this baseline, whatever source it names.
    assert scratch["metrics"] == scratch["baseline"]["metrics"] == one["baseline"]["metrics"]
    assert all(gain == 0 for gain in scratch["gain"].values())


def test_single_tasks_of_a_joint_run_do_not_depend_on_each_other(tables):
    for name in ("first", "second"):
        assert main([*tables, f"source=[{name}]", "target=goal", "transfer=joint"]) == 0
    assert main([*tables, "source=[goal]", "target=first", "transfer=joint"]) == 0
    runs = [(tuple(result["config"]["source"]), result) for result in results().values()]
    [first] = [result for names, result in runs if names == ("first",)]
    [second] = [result for names, result in runs if names == ("second",)]
    [turned] = [result for names, result in runs if names == ("goal",)]
    assert first["tasks"]["target"]["single"]["metrics"] == second["tasks"]["target"]["single"]["metrics"]
    assert first["tasks"]["first"]["single"]["metrics"].keys() == turned["tasks"]["target"]["single"]["metrics"].keys()
    assert first["tasks"]["first"]["metrics"] != first["tasks"]["first"]["single"]["metrics"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["source=words", "target=others", "encoder.text.embedding=4", "encoder.text.width=4"], "text"),
        (["source=large", "target=blobs", "encoder/image=mlp", "encoder.image.widths=[8]"], "image"),
        (["source=blobs", "target=large", "encoder/image=mlp", "encoder.image.widths=[8]"], None),
        (["source=large", "target=blobs", "encoder/image=mlp", "encoder.image.widths=[8]", "image.size=5"], None),
        (["source=first", "target=goal"], None),
    ],
)
def test_the_summary_says_which_forms_depend_on_the_source(tables, tmp_path, capsys, words, told):
    images = {"blobs": "# Squares\n_target_: toys.tasks.blobs\n", "large": "# Large\n_target_: toys.tasks.blobs\nside: 9\n"}
    texts = {name: f"# Texts\n_target_: toys.tasks.words\nseed: {seed}\n" for seed, name in enumerate(("words", "others"))}
    tasks_in(tmp_path / "tables", **images, **texts)
    assert main([*tables, *words, "transfer=scratch"]) == 0
    out = capsys.readouterr().out
    said = f"target: the form of {told} depends on the source, for the baseline too"
    assert (said in out) if told else "depends on the source" not in out
