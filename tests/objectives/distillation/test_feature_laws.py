"""What holds of every way of teaching by features, on every modality."""

from dataclasses import replace

import pytest
import torch
from toys.runs import everything_words
from toys.tasks import PAIRED, pair_batch
from toys.teachers import inputs_of, student_and_teacher

from xlearn.commands.check import main as check
from xlearn.config.folders import conf_folder, read_yaml
from xlearn.networks.network import tensors
from xlearn.objectives.distillation.attention import Attention
from xlearn.objectives.distillation.crd import Crd
from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.rkd import Rkd
from xlearn.runtime.errors import Problem

WAYS = ("dkd", "dist", "fitnets", "attention", "rkd", "crd")


@pytest.mark.parametrize(
    ("one", "other", "modality", "kind", "options"),
    [
        ("cnn", "wide", "image", FitNets, {}),
        ("cnn", "wide", "image", FitNets, {"student": "encoder.image.blocks.0", "teacher": "encoder.image.blocks.1"}),
        ("lstm", "transformer", "text", FitNets, {"student": "encoder.text.layers.1", "teacher": "encoder.text.blocks.0"}),
        ("audio", "frames", "audio", FitNets, {"student": "encoder.audio.frame", "teacher": "encoder.audio.frame"}),
        ("audio", "frames", "audio", FitNets, {"student": "encoder.audio.blocks.0", "teacher": "encoder.audio.blocks.2"}),
        ("text_cnn", "lstm", "text", FitNets, {"student": "encoder.text.phrases", "teacher": None}),
        ("cnn", "wide", "image", Attention, {}),
        ("lstm", "transformer", "text", Attention, {}),
        ("audio", "frames", "audio", Attention, {}),
        ("text_cnn", "lstm", "text", Rkd, {}),
        ("cnn", "wide", "image", Rkd, {"student": "encoder.image.blocks.0", "teacher": "trunk"}),
        ("audio", "frames", "audio", Crd, {"width": 5}),
    ],
)
def test_gradients_reach_all_that_is_registered_and_not_the_teacher(one, other, modality, kind, options):
    student, teacher, context, batches = student_and_teacher(one, other, inputs_of(modality))
    before, modes = tensors(teacher), [each.training for each in student.modules()]
    objective = kind(context, **options)
    assert [each.training for each in student.modules()] == modes
    [(name, loss)] = objective(student, batches).items()
    assert name == f"target_{kind.__name__.lower()}" and loss > 0
    loss.backward()
    own = [*objective.parameters()] if isinstance(objective, torch.nn.Module) else []
    assert bool(own) == (kind in (FitNets, Crd)) and all(each.grad is not None and each.grad.any() for each in own)
    assert any(each.grad is not None and each.grad.any() for each in student.parameters())
    assert all(each.grad is None for each in teacher.parameters()) and not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in tensors(teacher).items())
    assert not {id(each) for each in teacher.parameters()} & {id(each) for each in own}


def test_features_that_were_computed_before_are_taken_over():
    student, teacher, context, batches = student_and_teacher("cnn", "wide", inputs_of("image"))
    taught = {"features": teacher.eval().features(batches["target"]).detach(), "seen": torch.ones(8, 1).bool()}
    bare = replace(batches["target"], inputs={}, features=student.features(batches["target"]), taught=taught)
    for kind in (FitNets, Rkd, Crd):
        objective = kind(context)
        torch.testing.assert_close(objective(student, {"target": bare}), objective(student, batches))
        assert objective(student, {"target": replace(bare, taught={})}) == {}
        assert objective(student, {"target": pair_batch().only("tabular")}) == {}


@pytest.mark.parametrize(
    ("one", "other", "modality", "kind", "options", "told"),
    [
        ("cnn", "wide", "image", FitNets, {"student": "encoder.image.block.0"}, "student=.*Did you mean 'encoder"),
        ("cnn", "wide", "image", Rkd, {"teacher": "encoder.image.blocks.7"}, "teacher=.*no module 'encoder.image.blocks.7'"),
        ("cnn", "wide", "image", FitNets, {"student": f"head.{PAIRED.key}"}, "student=head.*is not called for"),
        ("cnn", "wide", "image", FitNets, {"teacher": "encoder.image.blocks.0"}, "a vector of 4, .* maps of 8 channels"),
        ("cnn", "wide", "image", Attention, {"student": ["encoder.image.blocks.0"]}, "name as many modules in both"),
        ("cnn", "wide", "image", Attention, {"student": [], "teacher": []}, "leave both null"),
        (
            "cnn", "wide", "image", Attention, {"student": ["trunk"], "teacher": ["encoder.image.blocks.0"]},
            "student=trunk outputs a vector of 4, .*Choose among encoder.image.blocks.0, encoder.image.blocks.1",
        ),
        (
            "audio", "frames", "audio", Attention, {"student": ["encoder.audio.frame"], "teacher": ["encoder.audio.blocks.0"]},
            "a sequence of 6 channels, .* maps of 4 channels",
        ),
        ("cnn", "lstm", "image", Attention, {}, "have no common modality where both encoders output maps"),
        ("lstm", "few_words", "text", Attention, {}, "cannot read the phase's examples .*another form than the student"),
        ("cnn", "wide", "image", Attention, {"weight": -1.0}, "weight=-1.0"),
    ],
)  # fmt: skip
def test_wrong_words_are_told(one, other, modality, kind, options, told):
    _, _, context, _ = student_and_teacher(one, other, inputs_of(modality))
    with pytest.raises(Problem, match=told):
        kind(context, **options)


def ways(folder, *names):
    """A transfer that goes through these, one after the other."""
    import yaml

    phases = {name: read_yaml(conf_folder() / "transfer" / f"{name}.yaml")["phases"]["distill"] for name in names}
    (folder / "everything" / "transfer").mkdir(parents=True)
    text = yaml.safe_dump({"carry": False, "phases": phases}, sort_keys=False)
    (folder / "everything" / "transfer" / "ways.yaml").write_text(f"# All ways\n{text}", encoding="utf-8")
    return "transfer=ways"


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("text", "audio")]


@pytest.mark.parametrize("modality", ["image", *SLOW])
def test_every_way_runs_on_every_modality(modality, tmp_path, capsys):
    words = [*everything_words(tmp_path, [modality], [modality]), ways(tmp_path, *WAYS)]
    words = ["encoder/image=cnn" if each == "encoder/image=mlp" else each for each in words]
    assert check(words) == 0, capsys.readouterr().err
