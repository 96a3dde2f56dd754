"""Runs across tasks and modalities, whole: what travels, what is compared, and what is refused before it trains."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from toys.runs import only, results

from xlearn.commands.train import main
from xlearn.runtime.storage import cache_root, read_tensors

TEXT = ["encoder.text.embedding=8", "encoder.text.width=8", "optimizer.lr=0.01"]
SMALL = ["encoder.tabular.widths=[16,8]", "fusion=mean", "fusion.width=8", "trunk=mlp", "trunk.widths=[8]", *TEXT]


def report(folder):
    return json.loads((folder / "transfer.json").read_text(encoding="utf-8"))


def tops(names):
    return sorted({".".join(name.split(".")[:2]) for name in names})


def refused(words, capsys):
    assert main(words) == 1
    assert not list(Path("outputs").rglob("metrics.jsonl"))  # before anything was trained
    return capsys.readouterr().err


def test_each_modality_alone_is_compared_and_computed_once_whatever_the_fusion(toy):
    words = [*toy, "source=none", "pretrain=none", "transfer=scratch", "target=pairs", "encoder.tabular.widths=[16,8]"]
    assert main([*words, "fusion=concat,gated,late", "-m"]) == 0
    found = list(results().values())
    assert len(found) == 3 and all(sorted(each["alone"]) == ["image", "tabular"] for each in found)
    for name in ("image", "tabular"):
        assert len({each["alone"][name]["phases"][0]["key"] for each in found}) == 1
        assert sorted(each["alone"][name]["phases"][0]["cached"] for each in found) == [False, True, True]
        assert len({json.dumps(each["alone"][name]["metrics"]) for each in found}) == 1
    assert len({each["phases"][0]["key"] for each in found}) == 3
    assert all("retrieval" not in each for each in found)


def test_the_alone_learner_of_an_image_is_the_model_of_images(toy):
    words = [*toy, "source=none", "pretrain=none", "transfer=scratch", "encoder.tabular.widths=[8]"]
    assert main([*words, "target=pairs", "experiment=both"]) == 0
    assert main([*words, "target=pairs", "target.modalities=[image]", "experiment=image"]) == 0
    [both], [image] = (list(results(Path(f"outputs/{name}")).values()) for name in ("both", "image"))
    assert both["alone"]["image"]["metrics"] == image["metrics"]
    assert image["alone"] == {} and image["baseline"]["metrics"] == image["metrics"]


def test_alone_goes_through_the_run_s_own_phases_where_a_source_has_the_modality(toy):
    words = [*toy, "source=numbers", "target=pairs", "encoder.tabular.widths=[8]", "fusion=late"]
    assert main([*words, "sharing=encoder"]) == 0
    _, result = only()
    assert [each["name"] for each in result["alone"]["tabular"]["phases"]] == ["pretrain", "finetune"]
    assert [each["name"] for each in result["alone"]["image"]["phases"]] == ["scratch"]


def test_alone_is_learned_from_scratch_where_what_is_shared_is_not_there(toy):
    words = [*toy, "source=pairs", "target=pairs", "source.pairs.head=other", "encoder.tabular.widths=[8]"]
    assert main([*words, "sharing=names", "sharing.patterns=[encoder.tabular.*]"]) == 0
    folder, result = only()
    assert tops(report(folder)["copied"]) == ["encoder.tabular"]
    assert [each["name"] for each in result["alone"]["tabular"]["phases"]] == ["pretrain", "finetune"]
    assert [each["name"] for each in result["alone"]["image"]["phases"]] == ["scratch"]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numbers", "words"])
def test_a_trunk_travels_between_modalities(toy, target):
    unlike = [*toy, "source=blobs", f"target={target}", *SMALL, "source.blobs.head=other"]
    assert main(unlike) == 0
    folder, _ = only()
    found = report(folder)
    modality = {"numbers": "tabular", "words": "text"}[target]
    assert tops(found["copied"]) == ["trunk.layers"]
    assert {name.split(".")[0] for name in found["fresh"]} == {"encoder", "fusion", "head"}
    assert all(modality in name for name in found["fresh"] if not name.startswith("head."))
    assert all("image" in name or name.startswith("head.") for name in found["unused"])


def test_the_head_travels_too_between_modalities_of_the_same_classes(toy):
    assert main([*toy, "source=blobs", "target=numbers", *SMALL, "fusion.width=null", "encoder.image.widths=[8]"]) == 0
    folder, _ = only()
    assert [name.split(".")[0] for name in report(folder)["copied"]] == ["trunk", "trunk", "head", "head"]


def test_joint_learning_has_own_encoders_and_heads_and_one_trunk(toy):
    words = [*toy, "source=blobs", "target=numbers", "source.blobs.head=other", "transfer=joint", *SMALL]
    assert main([*words, "budget.transfer.steps=1"]) == 0
    folder, result = only()
    weights = read_tensors(folder / "weights.safetensors")
    assert sum(name.startswith("head.") for name in weights) == 4
    assert {name.split(".")[1] for name in weights if name.startswith("encoder.")} == {"image", "tabular"}
    assert not (folder / "transfer.json").exists() and sorted(result["phases"][0]) == sorted(result["baseline"]["phases"][0])
    first = json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["losses"].keys() == {"blobs", "target"} and "blobs_val_accuracy" in first


def distilled(toy, *words):
    return [*toy, "source=pairs", "target=dim", "source.pairs.modalities=[image,tabular]", "transfer=kd", *SMALL, *words]


def test_a_teacher_of_pairs_teaches_one_modality(toy, capsys):
    assert main(distilled(toy, "experiment=none")) == 0
    assert main(distilled(toy, "experiment=more", "budget.pretrain.epochs=3")) == 0
    [(folder, one)], [(_, other)] = (list(results(Path(f"outputs/{name}")).items()) for name in ("none", "more"))
    assert not (folder / "transfer.json").exists() and [each["name"] for each in one["phases"]] == ["pretrain", "distill"]
    assert one["phases"][1]["key"] != other["phases"][1]["key"]  # another teacher
    assert one["baseline"]["phases"][0]["key"] == other["baseline"]["phases"][0]["key"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {name for line in lines if line["phase"] == "distill" for name in line["losses"]} == {
        "target_labels", "target_teacher", "pairs_teacher"
    }  # fmt: skip


def test_a_teacher_reads_no_modality_that_it_has_not_learned(toy):
    assert main(distilled(toy, "transfer.carry=true", "pretrain.phases.pretrain.modalities=[tabular]")) == 0
    folder, _ = only()
    carried = report(folder)
    assert "encoder.image" not in tops([*carried["copied"], *carried["unused"]])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {name for line in lines if line["phase"] == "distill" for name in line["losses"]} == {
        "target_labels", "pairs_teacher"
    }  # fmt: skip


def test_a_student_of_another_width_takes_over_what_fits(toy):
    words = [each for each in distilled(toy, "transfer.carry=true") if not each.startswith(("fusion", "trunk"))]
    assert main(words) == 0
    folder, _ = only()
    assert tops(report(folder)["copied"]) == ["encoder.image"]
    assert {name.split(".")[0] for name in report(folder)["fresh"]} == {"head"}


def test_a_teacher_from_the_cache_teaches_the_same_bits(toy, own_cache):
    words = [*distilled(toy, "encoder/image=cnn", "sharing=none"), "~encoder.image.widths"]
    words = [
        word for word in words if word not in ("encoder/image=mlp", "encoder.image.widths=[16,8]", "~encoder.image.widths")
    ]
    assert main([*words, "experiment=first", "budget.transfer.steps=40"]) == 0
    assert main([*words, "experiment=cached", "budget.transfer.steps=41"]) == 0
    shutil.rmtree(cache_root() / "phases")
    assert main([*words, "experiment=fresh", "budget.transfer.steps=41"]) == 0
    cached, fresh = (results(Path(f"outputs/{name}")) for name in ("cached", "fresh"))
    assert next(iter(cached.values()))["phases"][0]["cached"] and not next(iter(fresh.values()))["phases"][0]["cached"]
    one, other = (read_tensors(next(iter(each)) / "weights.safetensors") for each in (cached, fresh))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_alignment_makes_a_head_of_one_modality_read_the_other(toy):
    words = [
        *toy, "source=pairs", "target=numbers", "transfer=source_only", "pretrain=clip", "fusion=mean", "fusion.width=8",
        "fusion.unit=true", "budget.pretrain.epochs=60", "pretrain.phases.head.modalities=[image]", "batch_size=32",
    ]  # fmt: skip
    assert main([*words, "encoder.tabular.widths=[16,8]", "optimizer.lr=0.005"]) == 0
    folder, result = only()
    assert result["metrics"]["accuracy"] > result["majority"]["accuracy"] + 0.3
    assert "fusion.project.tabular.weight" in report(folder)["copied"]


@pytest.mark.parametrize("method", ["clip", "siglip"])
def test_alignment_reports_retrieval(toy, method):
    words = [*toy, "source=pairs", "target=pairs", f"pretrain={method}", *SMALL, "source.pairs.classes=[0,1]"]
    assert main(words) == 0
    _, result = only()
    assert result["retrieval"].keys() == {"image->tabular", "tabular->image"}
    assert [each["name"] for each in result["phases"]] == ["align", "head", "finetune"]
    assert [each["name"] for each in result["alone"]["image"]["phases"]] == ["scratch"]


def test_a_phase_may_read_some_modalities(toy, capsys):
    words = [*toy, "source=pairs", "target=numbers", *SMALL]
    assert "modalities=['text'], but pairs has image and tabular" in refused(
        [*words, "pretrain.phases.pretrain.modalities=[text]"], capsys
    )
    assert main([*words, "pretrain.phases.pretrain.modalities=[image]"]) == 0


def test_objectives_that_read_inputs_get_them_though_the_backbone_is_frozen(toy):
    words = [*toy, "source=pairs", "target=pairs", "objective=each_modality", "transfer=linear_probe", *SMALL]
    assert main([*words, "pretrain.phases.pretrain.steps=2"]) == 0
    folder, _ = only()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    [losses] = {tuple(line["losses"]) for line in lines if line["phase"] == "probe" and "alone" not in line}
    assert {line["alone"] for line in lines if "alone" in line} == {"image", "tabular"}
    assert sorted(losses) == ["target", "target_image", "target_tabular"]


READY = ["encoder.image._target_=toys.networks.Ready", "+encoder.image.weights=ones", "encoder.image.widths=[4]"]


def test_joint_learning_begins_with_the_encoders_own_weights(toy, capsys):
    words = [*toy, "source=blobs", *READY, "source.blobs.head=x", "transfer=joint", "pretrain=none", "optimizer.lr=1e-12"]
    assert main([*words, "budget.transfer.steps=1"]) == 0
    folder, _ = only()
    weight = read_tensors(folder / "weights.safetensors")["encoder.image.blocks.0.0.weight"]
    torch.testing.assert_close(weight, torch.ones_like(weight))


def test_a_teacher_whose_head_nobody_trained_is_refused(toy, capsys):
    words = [*toy, "source=blobs", *READY, "transfer=kd", "pretrain=none"]
    assert "no phase trains the teacher" in refused(words, capsys)


CLIP = ["source=pairs", "target=pairs", "source.pairs.classes=[0,1]", "pretrain=clip"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["source=none", "transfer=kd"], "there is none"),
        (["source=none", "pretrain=none", "transfer=joint"], "there is none"),
        (["source=blobs", "pretrain=clip"], "blobs has only the modality image, but alignment needs pairs"),
        ([*CLIP, "fusion=concat"], "puts the modalities of pairs in separate features"),
        ([*CLIP, *SMALL, "budget.pretrain.patience=2"], "but the phase trains no head"),
        ([*CLIP, *SMALL, "+pretrain.phases.align.batches.batch_size=1"], "needs at least 2 pairs"),
        ([*CLIP, *SMALL, "pretrain.phases.align.objective.temperature=0"], "temperature=0"),
        (["source=blobs", "transfer=kd", "source.blobs.head=x"], "do not both have a head for the classes of blobs"),
        (["transfer=knowledge_fusion", "transfer.carry=true"], "carry: true copies from a single network"),
        (["transfer=kd", "transfer.phases.distill.teachers=[sorce]"], "teachers=[sorce]"),
        (["pretrain.phases.pretrain.teachers=[source]"], "only phases of the transfer have teachers"),
        (["teacher/image=cnn"], "has no teacher"),
        (["teacher/image=cnn", "transfer=kd", "transfer.carry=true"], "copies weights"),
        (["transfer.phases.finetune.start_from=now"], "start_from=now"),
        (["transfer=kd", "transfer.phases.distill.objective.weight=2"], "weight=2"),
        (["transfer=kd", "transfer.phases.distill.teachers=[]"], "needs a teacher"),
        (["source=numbers", "transfer=kd", *SMALL], "Choose tasks with a common modality"),
        (
            ["source=numbers", "transfer=kd", "transfer.phases.distill.reads=[target]", *SMALL],
            "teacher reads tabular, but",
        ),
        (["source=blobs", "target=numbers", "source.blobs.head=x"], "this sharing copies nothing"),
        (["augment=token_dropout"], "augment=token_dropout has no effect: the phases read image"),
    ],
)
def test_what_cannot_work_is_told_before_any_training(toy, capsys, words, told):
    assert told in refused([*toy, *words], capsys)


def test_what_no_phase_of_the_source_trains_was_not_learned(toy, capsys):
    assert main([*toy, "pretrain=probe", "transfer=finetune"]) == 0
    folder, _ = only()
    assert tops(report(folder)["copied"]) == ["head.blobs3_d9feef"]
    capsys.readouterr()
    shutil.rmtree("outputs")
    assert "does not copy encoder.image" in refused([*toy, "pretrain=probe", "transfer=linear_probe"], capsys)
