"""Teaching by features: where student and teacher are looked at, what is trained, and every way on every modality."""

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from toys.runs import everything_words
from toys.tasks import SPEC, pair_batch

from xlearn.commands.check import main as check
from xlearn.config.folders import conf_folder, read_yaml
from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, Examples, LabelSpace, TextSpec
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.transformer import Transformer
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network, tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.attention import Attention, apart
from xlearn.objectives.distillation.crd import Crd
from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.match import pooled
from xlearn.objectives.distillation.rkd import Rkd
from xlearn.objectives.parts.layers import linear
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Problem

SPACE = LabelSpace("toy", ("a", "b"))
WAYS = ("dkd", "dist", "fitnets", "attention", "rkd", "crd")
TEXT, AUDIO = TextSpec(30, 12, "words"), AudioSpec(8, 8000, "frames")
ENCODERS = {
    "cnn": ("image", partial(Cnn, SPEC, widths=[4, 6], dense=5)),
    "wide": ("image", partial(Cnn, SPEC, widths=[8, 3, 7], dense=9)),
    "lstm": ("text", partial(Lstm, TEXT, embedding=4, width=6, layers=2)),
    "few_words": ("text", partial(Lstm, TextSpec(10, 12, "few"), embedding=4, width=6)),
    "transformer": ("text", partial(Transformer, TEXT, width=8, layers=2, heads=2, feedforward=8)),
    "text_cnn": ("text", partial(TextCnn, TEXT, embedding=4, filters=3, kernels=[2, 3])),
    "audio": ("audio", partial(AudioCnn, AUDIO, channels=[3, 5], dense=6)),
    "frames": ("audio", partial(AudioCnn, AUDIO, channels=[4, 4, 6], dense=7, tokens="frames")),
}


@dataclass
class Given:
    """What an objective asks of a task."""

    train: Examples

    @property
    def inputs(self):
        return self.train.inputs


def made(*names, seed=0):
    torch.manual_seed(seed)
    encoders = {ENCODERS[name][0]: ENCODERS[name][1]() for name in names}
    fusion = Mean({modality: each.width for modality, each in encoders.items()}, width=4 + seed)
    return Network(encoders, fusion, {SPACE.key: torch.nn.Linear(4 + seed, 2)})


def examples(*modalities, count=8, **present):
    generator = torch.Generator().manual_seed(4)
    lengths = [3 + each % 5 for each in range(count)]
    inputs = {
        "image": torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8),
        "text": Ragged.of([torch.randint(1, 30, (each,), generator=generator, dtype=torch.int32) for each in lengths]),
        "audio": Ragged.of([torch.randn(3 * each, 8, generator=generator) for each in lengths]),
    }
    chosen = {name: inputs[name] for name in modalities}
    return Examples(chosen, torch.arange(count) % 2, torch.arange(count), SPACE, present=present)


def began(student, teacher, given, **values):
    return PhaseContext(student, frozenset(), {}, (teacher,), tasks={"target": Given(given)}, **values)


def pair(one, other, given):
    student, teacher = made(*one.split("+")), made(*other.split("+"), seed=1)
    return student, teacher, began(student, teacher, given), {"target": given.take(torch.arange(len(given)))}


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
    student, teacher, context, batches = pair(one, other, examples(modality))
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


def test_a_hint_between_maps_is_a_1x1_convolution():
    student, teacher, context, batches = pair("cnn", "wide", examples("image"))
    objective = FitNets(context, weight=1.0, student="encoder.image.blocks.0", teacher="encoder.image.blocks.1")
    [loss] = objective(student, batches).values()
    images = student.encoder["image"].pixels(batches["target"].inputs["image"])
    own = student.encoder["image"].blocks[0](images)
    taught = teacher.encoder["image"].blocks[1](teacher.encoder["image"].blocks[0](images))
    own, taught = pooled(own, taught)
    mapped = torch.nn.functional.conv2d(own, objective.regressor.weight[:, :, None, None], objective.regressor.bias)
    torch.testing.assert_close(loss, (mapped - taught).square().mean())


def test_attention_pairs_blocks_from_the_top_downwards():
    _, _, context, _ = pair("wide", "cnn", examples("image"))
    # After the activation. Blocks 1 and 2 of `wide` give maps of a single place.
    assert Attention(context).match.pairs == [("encoder.image.blocks.0", "encoder.image.blocks.1")]
    student, teacher, context, batches = pair("lstm", "transformer", examples("text"))
    objective = Attention(context, weight=2.0)
    # The last block ends with the normalisation; an LSTM's layer gives its states first.
    assert objective.match.pairs[0] == ("encoder.text.layers.1", "encoder.text.norm") and len(objective.match.pairs) == 3
    heard = [student.outputs(batches["target"]), teacher.outputs(batches["target"])]
    terms = []
    for paths in objective.match.pairs:
        own, taught = (each[path] for each, path in zip(heard, paths, strict=True))
        own = own[0] if isinstance(own, tuple) else own
        terms.append(apart(own.transpose(1, 2), taught.transpose(1, 2)).mean())
    torch.testing.assert_close(objective(student, batches)["target_attention"], 2 * sum(terms))


def test_what_lacks_the_modality_of_a_module_does_not_count():
    there = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0]).bool()
    student, _, context, batches = pair("cnn+lstm", "wide+lstm", examples("image", "text", image=there))
    options = {"student": "encoder.image.blocks.0", "teacher": "encoder.image.blocks.1"}
    found = FitNets(context, **options)(student, batches)
    seen = {"target": examples("image", "text").take(there.nonzero().flatten())}
    torch.testing.assert_close(found, FitNets(context, **options)(student, seen))
    # Below the heads the teacher sees every example, by its text.
    [(_, _, counted)] = FitNets(context).match(student, batches["target"])
    assert counted.all()


def test_features_that_were_computed_before_are_taken_over():
    student, teacher, context, batches = pair("cnn", "wide", examples("image"))
    taught = {"features": teacher.eval().features(batches["target"]).detach(), "seen": torch.ones(8, 1).bool()}
    bare = replace(batches["target"], inputs={}, features=student.features(batches["target"]), taught=taught)
    for kind in (FitNets, Rkd, Crd):
        objective = kind(context)
        torch.testing.assert_close(objective(student, {"target": bare}), objective(student, batches))
        assert objective(student, {"target": replace(bare, taught={})}) == {}
        assert objective(student, {"target": pair_batch().only("tabular")}) == {}


def test_a_regressor_begins_by_the_seed_alone():
    torch.manual_seed(5)
    one = linear(3, 4, made("cnn"), "fitnets")
    assert torch.equal(one.weight, linear(3, 4, made("cnn"), "fitnets").weight)
    others = [linear(3, 4, made("cnn", seed=1), "fitnets"), linear(3, 4, made("cnn"), "crd")]
    assert not any(torch.equal(one.weight, each.weight) for each in others) and one.weight.abs().max() <= 3**-0.5


@pytest.mark.parametrize(
    ("one", "other", "modality", "kind", "options", "told"),
    [
        ("cnn", "wide", "image", FitNets, {"student": "encoder.image.block.0"}, "student=.*Did you mean 'encoder"),
        ("cnn", "wide", "image", Rkd, {"teacher": "encoder.image.blocks.7"}, "teacher=.*no module 'encoder.image.blocks.7'"),
        ("cnn", "wide", "image", FitNets, {"student": f"head.{SPACE.key}"}, "student=head.*is not called for"),
        ("cnn", "wide", "image", FitNets, {"teacher": "encoder.image.blocks.0"}, "a vector of 4, .* maps of 8 channels"),
        ("cnn", "wide", "image", Attention, {"student": ["encoder.image.blocks.0"]}, "name as many modules in both"),
        ("cnn", "wide", "image", Attention, {"student": [], "teacher": []}, "leave both null"),
        (
            "cnn", "wide", "image", Attention, {"student": ["trunk"], "teacher": ["encoder.image.blocks.0"]},
            "student=trunk gives a vector of 4, .*These would do: encoder.image.blocks.0, encoder.image.blocks.1",
        ),
        (
            "audio", "frames", "audio", Attention, {"student": ["encoder.audio.frame"], "teacher": ["encoder.audio.blocks.0"]},
            "a sequence of 6 channels, .* maps of 4 channels",
        ),
        ("cnn", "lstm", "image", Attention, {}, "have no modality in common whose encoder gives places"),
        ("lstm", "few_words", "text", Attention, {}, "cannot read what the phase reads .*another form than the student"),
        ("cnn", "wide", "image", Attention, {"weight": -1.0}, "weight=-1.0"),
    ],
)  # fmt: skip
def test_wrong_words_are_told(one, other, modality, kind, options, told):
    _, _, context, _ = pair(one, other, examples(modality))
    with pytest.raises(Problem, match=told):
        kind(context, **options)


def test_labels_of_some_roles():
    student, _, context, batches = pair("cnn", "wide", examples("image"))
    context = replace(context, class_counts={"target": torch.tensor([4, 4]), "digits": torch.tensor([4, 4])})
    both = {**batches, "digits": batches["target"]}
    assert CrossEntropy(context)(student, both).keys() == {"target", "digits"}
    assert CrossEntropy(context, roles=["target"], class_weights="balanced")(student, both).keys() == {"target"}
    assert CrossEntropy(context, roles=["target"])(student, {"digits": batches["target"]}) == {}
    with pytest.raises(Problem, match="objective.roles: the phase reads no 'targt'. Did you mean 'target'"):
        CrossEntropy(context, roles=["targt"])


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
