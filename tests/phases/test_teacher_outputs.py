"""Who teaches a phase, in which form, and what of the source is forgotten."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from toys.networks import image_network
from toys.phases import CPU, phase, solve
from toys.runs import only, results
from toys.tasks import blobs_task

from xlearn.commands.train import main
from xlearn.data.batches import Batches
from xlearn.networks.evaluate import logits
from xlearn.networks.network import tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.kd import Kd
from xlearn.phases.teacher_outputs import Teaching, validation, with_outputs
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.storage import read_tensors


def roles(given):
    return {"source": {}, "target": {"target": given}}


def lines(folder, phase):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in found if line["phase"] == phase and not {"alone", "single"} & line.keys()]


def test_lessons_are_what_the_teacher_says_batch_by_batch():
    given = blobs_task()
    teachers = [image_network(given.train, dropout=0.5, seed=seed) for seed in (1, 2)]
    teachings = [Teaching(each, roles(given)) for each in teachers]
    [known] = with_outputs({"target": given.train}, teachings, {"logits"}, CPU).values()
    assert known.taught["logits"].shape == (len(given.train), 2, 3) and known.taught["seen"].all()
    student = image_network(given.train, seed=3)
    objective = Kd(PhaseContext(student, frozenset(), {}, tuple(teachers)))
    for cached, plain in zip(
        Batches({"target": known}, batch_size=16, seed=0)(1).values(),
        Batches({"target": given.train}, batch_size=16, seed=0)(1).values(),
        strict=True,
    ):
        assert torch.equal(cached.labels, plain.labels) and not plain.taught
        one, other = (objective(student, {"target": each}) for each in (cached, plain))
        assert one.keys() == other.keys() == {"target_labels", "target_teacher"}
        for name in one:
            torch.testing.assert_close(one[name], other[name])


def test_lessons_go_with_their_examples():
    given = blobs_task()
    teacher = image_network(given.train, seed=1)
    [known] = with_outputs({"target": given.train}, [Teaching(teacher, roles(given))], {"logits", "features"}, CPU).values()
    index = torch.tensor([5, 2, 9])
    batch = known.subset(torch.arange(20)).take(index)
    assert torch.equal(batch.taught["logits"], known.taught["logits"][index])
    torch.testing.assert_close(batch.taught["features"], teacher.eval().features(given.train.take(index)))
    probed = replace(known, features=torch.zeros(len(known), 8)).take(index)  # of a student whose head alone trains
    assert torch.equal(probed.taught["logits"], batch.taught["logits"]) and not probed.inputs


def test_the_validation_loss_of_teachers():
    given = blobs_task()
    teachers = [image_network(given.train, seed=seed) for seed in (1, 2)]
    found = validation([Teaching(each, roles(given)) for each in teachers], CPU)
    for each, loss in zip(teachers, found, strict=True):
        expected = torch.nn.functional.cross_entropy(logits(each, given.val, CPU), given.val.labels)
        assert loss == pytest.approx(float(expected), rel=1e-5)
    assert validation([Teaching(teachers[0], roles(blobs_task(val=0.0)))], CPU) is None


def test_what_a_phase_leaves_is_made_of_its_beginning_and_its_end(tmp_path):
    given = blobs_task()
    began = tensors(image_network(given.train))
    _, plain, _ = solve(tmp_path / "plain", phase(), given=given)

    def middle(before, kept, *, share):
        return {name: before[name] + share * (kept[name] - before[name]) for name in kept}

    network, made, _ = solve(tmp_path / "made", phase(merge=partial(middle, share=0.25)), given=given)
    for name, value in tensors(network).items():
        torch.testing.assert_close(value, began[name] + 0.25 * (plain.weights[name] - began[name]))
    assert made.digest == weights_digest(tensors(network)) != plain.digest


@pytest.mark.slow
def test_a_student_begins_anew_and_is_taught_by_its_elder_self(toy):
    words = [*toy, "transfer=self_distillation", "source.blobs.head=other", "transfer.phases.student.objective.weight=1.0"]
    assert main([*words, "transfer.phases.student.steps=1", "optimizer.lr=1e-12"]) == 0
    folder, result = only()
    assert [each["name"] for each in result["phases"]] == ["pretrain", "teacher", "student"]
    [line] = lines(folder, "student")
    # With steps of no length teacher and student are the same network: nothing is left to learn of it.
    assert line["losses"]["target_teacher"] == pytest.approx(0, abs=1e-6)
    assert main([*words, "experiment=longer", "optimizer.lr=0.01", "transfer.phases.student.steps=1"]) == 0
    longer, _ = next(iter(results(folder.parents[1] / "longer").items()))
    assert lines(longer, "student")[0]["losses"]["target_teacher"] > 1e-3


def test_a_large_teacher_and_a_small_student(toy):
    words = [*toy, "transfer=kd", "teacher/image=mlp", "teacher.image.widths=[32,16]", "encoder.image.widths=[4]"]
    assert main(words) == 0
    folder, result = only()
    assert {name.partition(".blocks")[0] for name in read_tensors(folder / "weights.safetensors")} >= {"encoder.image"}
    assert result["cost"]["parameters"] == result["baseline"]["cost"]["parameters"] < 36 * 32
    assert not (folder / "transfer.json").exists() and "forgetting" not in result
    assert {name for line in lines(folder, "distill") for name in line["losses"]} == {
        "target_labels", "target_teacher", "blobs_teacher"
    }  # fmt: skip


@pytest.mark.slow
def test_teacher_and_student_may_read_other_forms_unless_the_examples_change(toy, capsys):
    (own := Path(toy[1]) / "encoder" / "text").mkdir(parents=True)
    (own / "letters.yaml").write_text("# Bytes\n_target_: toys.networks.Letters\nembedding: 16\n")
    words = [*toy, "source=words", "target=words", "transfer=kd", "teacher/text=letters", "encoder.text.embedding=8"]
    # Short texts of three words repeat: the splits are those of rows, as ever.
    words += ["target.duplicates=keep", "source.words.duplicates=keep"]
    assert main(words) == 0
    _, result = only()
    assert result["metrics"]["accuracy"] > 0.4
    assert main([*words, "augment=[token_dropout]"]) == 1
    assert "the teacher reads another form of text" in capsys.readouterr().err


@pytest.mark.parametrize("combine", ["validation", "agreement"])
def test_several_sources_each_with_its_teacher(toy, combine):
    words = [*toy, "source=[blobs,numbers]", "target=pairs", "transfer=knowledge_fusion", "encoder.tabular.widths=[8]"]
    assert (
        main([*words, "budget.pretrain.epochs=30", "optimizer.lr=0.02", f"transfer.phases.distill.objective.combine={combine}"])
        == 0
    )
    folder, result = only()
    assert [each["name"] for each in result["phases"]] == ["pretrain", "pretrain", "distill"]
    assert len({each["key"] for each in result["phases"]}) == 3
    assert lines(folder, "distill")[-1]["losses"].keys() == {
        "target_labels",
        "target_teacher",
        "blobs_teacher",
        "numbers_teacher",
    }
    assert result["metrics"]["accuracy"] > 0.6


def test_forgetting_is_measured_with_the_head_that_fits(toy):
    assert main([*toy, "experiment=same"]) == 0
    assert main([*toy, "experiment=other", "source.blobs.head=other"]) == 0
    assert main([*toy, "experiment=probe", "source.blobs.head=other", "transfer=linear_probe"]) == 0
    found = {name: only(_experiment(name)) for name in ("same", "other", "probe")}
    told = {name: result["forgetting"]["blobs"] for name, (_, result) in found.items()}
    assert told["same"]["head"] == "target" and told["other"]["head"] == told["probe"]["head"] == "source"
    # The body stayed as it was: nothing is forgotten.
    assert told["probe"]["after"] == told["probe"]["before"]
    for each in told.values():
        assert each["lost"]["accuracy"] == pytest.approx(each["before"]["accuracy"] - each["after"]["accuracy"])
        assert each["lost"]["nll"] == pytest.approx(each["after"]["nll"] - each["before"]["nll"])
    assert told["other"]["after"]["nll"] != told["other"]["before"]["nll"]


def _experiment(name):
    return Path(f"outputs/{name}")


def test_nothing_is_said_of_forgetting_where_nothing_was_carried(toy):
    for name, words in (("scratch", ["transfer=scratch"]), ("as_it_is", ["transfer=source_only"])):
        assert main([*toy, f"experiment={name}", *words]) == 0
        assert "forgetting" not in only(_experiment(name))[1]


def test_a_head_that_nobody_trained_has_nothing_to_forget(toy, capsys):
    words = [*toy, "encoder.image._target_=toys.networks.Ready", "+encoder.image.weights=ones", "encoder.image.widths=[4]"]
    assert main([*words, "pretrain=none", "source.blobs.head=other"]) == 0
    assert only()[1]["forgetting"]["blobs"]["not_measured"].startswith("No head for its classes was learned")
    assert "not measured. No head" in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_checkpoint_learned_from_is_not_measured(toy):
    assert main([*toy, "source=none", "target=blobs", "target.shots=null", "transfer=scratch", "experiment=before"]) == 0
    path = only(_experiment("before"))[0]
    words = [*toy, "source=blobs", "pretrain=checkpoint", f"pretrain.start.path={path}", "seed=1", "experiment=after"]
    assert main(words) == 0
    assert "has learned from" in only(_experiment("after"))[1]["forgetting"]["blobs"]["not_measured"]


def test_tasks_learned_together_are_measured_once_though_weights_travel(toy):
    assert main([*toy, "transfer=joint", "transfer.carry=true"]) == 0
    assert "forgetting" not in only()[1]


def test_how_a_teacher_was_selected_is_told(toy):
    assert main([*toy, "transfer=kd", "budget.pretrain.keep=best_target"]) == 0
    assert only()[1]["selection"] == ["best_target", "last"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer.phases.finetune.teachers=[source]"], "none of its objectives and penalties uses a teacher"),
        (["transfer=kd", "joint.tasks=equal"], "needs joint.tasks=all, because a sampled batch"),
        (["transfer=kd", "objective=focal"], "objective=focal would change the baseline and the teacher, but not phase"),
        (["source.blobs.head=x", "transfer=kd"], "teacher and student do not both have a head"),
    ],
)
def test_what_has_no_effect_is_refused(toy, capsys, words, told):
    assert main([*toy, *words]) == 1
    assert told in capsys.readouterr().err and not list(Path("outputs").rglob("metrics.jsonl"))
