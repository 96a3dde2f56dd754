"""A modality from outside the package: what it cannot do is refused by name, and nothing is done to its numbers in silence."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from toys.contexts import batch_of
from toys.ids import Bag, IdsSpec, baskets
from toys.phases import CPU
from toys.runs import only, tasks_in

from xlearn.commands.check import main as check
from xlearn.commands.train import main
from xlearn.data.augment import crop, mixup, token_dropout
from xlearn.data.columns import Sequences
from xlearn.data.formats import formats
from xlearn.data.leakage import lends
from xlearn.data.modalities import Modality, modality
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task import ImageSpec, mixed_inputs
from xlearn.data.task_source import TaskSource
from xlearn.data.unlabeled import UNLABELED, hidden
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.generalization.domain_mixup import mixed_loss
from xlearn.objectives.parts.views import viewed
from xlearn.objectives.parts.weak_strong import need_change, strong, weak
from xlearn.objectives.self_supervision.autoencoder import Autoencoder
from xlearn.objectives.self_supervision.denoising import Denoising
from xlearn.objectives.self_supervision.mae import Mae
from xlearn.objectives.self_supervision.rotation import Rotation
from xlearn.objectives.self_training.fixmatch import FixMatch
from xlearn.objectives.self_training.mean_teacher import MeanTeacher
from xlearn.phases.checkpoints_by_rule import Candidates
from xlearn.robustness import missing, noise
from xlearn.runtime.errors import Problem

DOCS = Path(__file__).parents[3] / "docs" / "adding-a-method.md"
ENCODERS = {"ids": partial(Bag, width=8), "image": partial(Mlp, widths=[8])}
SETTINGS = {"image": {"size": None, "channels": None}}


def task_of(name="baskets", where="target", **options):
    source = TaskSource(name, where, partial(baskets, **options), options, TaskOptions())
    return prepare(source, formats([source], SETTINGS, ENCODERS, 0), 0)


def context_of(**options):
    """A source and an unlabelled target, and a network that reads their modalities."""
    source, target = task_of("source", "source.source", **options), task_of("target", shift=3, **options)
    torch.manual_seed(0)
    made = {name: ENCODERS[name](spec) for name, spec in target.inputs.items()}
    fusion = Concat({name: each.width for name, each in made.items()})
    network = Network(made, fusion, {target.labels.key: nn.Linear(fusion.width, 3)})
    tasks = {"source": source, UNLABELED: hidden(replace(target, unlabeled=target.train))}
    return PhaseContext(network, frozenset(), {"source": source.class_counts()}, steps=4, tasks=tasks), network


@pytest.fixture
def own(tmp_path):
    """The words of a run on baskets."""
    folder = tmp_path / "own"
    files = {"baskets": "# Baskets\n_target_: toys.ids.baskets\n", "others": "# Others\n_target_: toys.ids.baskets\nshift: 3\n"}
    words = tasks_in(folder, **files)
    (folder / "encoder" / "ids").mkdir(parents=True)
    (folder / "encoder" / "ids" / "bag.yaml").write_text("# A bag\n_target_: toys.ids.Bag\nwidth: 8\n", encoding="utf-8")
    return [*words, "source=baskets", "target=others", "threads=1", "budget=quick"]


def test_of_a_spec_that_is_no_modality_nothing_is_known():
    found = modality(IdsSpec(30))
    assert (found.mix, found.hide, found.noise, found.pieces, found.turns) == (None,) * 5
    assert found.learned and not found.any_size and not found.augmented
    assert modality(spec := ImageSpec(1, 6, 6)) is spec
    assert lends(task_of())  # it may have learned from the rows: they must not be tested on


def test_views_leave_ids_alone():
    context, _ = context_of()
    batch = batch_of(context)[UNLABELED]
    for view in (weak(batch), strong(batch), viewed(batch, [])):
        assert torch.equal(view.inputs["ids"], batch.inputs["ids"]) and view.inputs["ids"].dtype == torch.int64
    with pytest.raises(Problem, match="no view changes the ids of target"):
        need_change(context.tasks[UNLABELED], [], "pretrain")


@pytest.mark.parametrize("objective", [FixMatch, MeanTeacher])
@pytest.mark.parametrize("pictures", [False, True])
def test_methods_of_two_views_are_refused(objective, pictures):
    context, _ = context_of(pictures=pictures)
    with pytest.raises(
        Problem, match=r"no strong view of ids can be made: nothing in this form of it \(IdsSpec\) can be hidden"
    ):
        objective(context)


@pytest.mark.parametrize("objective", [Mae, Denoising, partial(Denoising, noise="gaussian"), Autoencoder])
def test_reconstructions_are_refused(objective):
    context, _ = context_of()
    with pytest.raises(Problem, match=r"ids is not made of pieces \(IdsSpec has no `pieces`\).*pretrain=supervised"):
        objective(context)


def test_rotation_is_refused():
    context, _ = context_of()
    with pytest.raises(Problem, match="rotation needs images, but source has only ids"):
        Rotation(context)


def test_ids_are_not_mixed():
    """Half of item 25 and half of item 5 is not item 15: features are mixed instead, of images beside them too."""
    for pictures in (False, True):
        context, network = context_of(pictures=pictures)
        batches = batch_of(context)
        one, other = batches["source"], replace(batches[UNLABELED], labels=batches["source"].labels)
        assert mixed_inputs(one, other, torch.add) is None
        assert torch.isfinite(mixed_loss(network, one, other, 0.3))  # the encoder asserts that it reads whole numbers
        if pictures:
            without = [each.only("image") for each in (one, other)]
            mixed = mixed_inputs(*without, lambda a, b: a.float() + b.float())
            assert torch.equal(mixed["image"], without[0].inputs["image"].float() + without[1].inputs["image"].float())


def test_mixval_mixes_their_features():
    context, network = context_of()
    given = []
    hook = network.encoder["ids"].register_forward_pre_hook(lambda _module, arguments: given.append(arguments[0]))
    unlabelled = context.tasks[UNLABELED].train
    with torch.no_grad():
        [head] = network.head.values()
        head.bias.copy_(-head.weight @ network.features(unlabelled.take(torch.arange(len(unlabelled)))).mean(0))
    given.clear()
    candidates = Candidates(network, {UNLABELED: unlabelled}, "accuracy", 0, CPU)
    candidates.look(1)
    hook.remove()
    assert 0 <= candidates.looks[0]["scores"]["mixval"] <= 1
    assert torch.equal(torch.cat(given), unlabelled.inputs["ids"])  # every example once, and no mixture


def test_noise_and_mixup_are_refused_and_a_modality_may_always_be_missing():
    task = task_of(pictures=True)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(Problem, match=r"robustness.noise.modality=ids: no noise .* IdsSpec has no `noise`"):
        noise(task.train, 0.5, generator, modality="ids", levels=[0.5])
    assert not missing(task.train, 1.0, generator, modality="ids", levels=[1.0]).present["ids"].any()
    batch = task.train.take(torch.arange(8))
    with pytest.raises(Problem, match="augment=mixup mixes images and labels, but the examples have ids too"):
        mixup(batch, generator, alpha=0.5)
    assert mixup(only_ids := batch.only("ids"), generator, alpha=0.5) is only_ids


def test_a_run_trains_adapts_and_measures(own):
    for words in (["transfer=finetune", "target.shots=3"], ["transfer=mmd", "target.shots=0"]):
        assert main([*own, "+encoder/ids=bag", *words, f"experiment={words[0].partition('=')[2]}"]) == 0
    _, result = only(Path("outputs/mmd"))
    assert result["forms"]["ids"] == {"items": 30}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer=fixmatch", "target.shots=0"], "fixmatch compares a weak and a strong view, and no strong view of ids"),
        (["pretrain=mae"], "mae reconstructs inputs piece by piece, and ids is not made of pieces"),
        (["pretrain=simclr"], "no view changes the ids of baskets"),
        (["augment=mixup"], "augment=mixup has no effect: the phases read ids"),
        (["robustness=noise", "robustness.noise.modality=ids"], "robustness.noise.modality=ids"),
    ],
)
def test_check_names_what_is_not_possible(own, words, told, capsys):
    assert check([*own, "+encoder/ids=bag", *words]) == 1
    error = capsys.readouterr().err
    assert told in error and error.startswith("1 problem(s)") and "unexpected" not in error


def test_check_lets_mixval_fall_back_to_features(own):
    assert check([*own, "+encoder/ids=bag", "transfer=mmd", "target.shots=0", "transfer.phases.adapt.keep=mixval"]) == 0


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("encoder/ids=bag", "no encoder/ids is chosen by default, so it has to be added. Write +encoder/ids=bag."),
        ("encoder/ids=bog", "encoder/ids=bog: there is no such option. Did you mean 'bag'?"),
        ("fusion@there=mean", "there is no such group here. Did you mean fusion=mean?"),
        ("hydra.launcher.cores=2", "Write +hydra.launcher.cores=VALUE if the launcher knows it."),
        ("seed=0", "no encoder reads it. Choose one (+encoder/ids=...; `xlearn show encoder/ids`)"),
    ],
)
def test_a_missing_plus_is_told(own, word, told, capsys):
    assert main([*own, word]) == 1
    error = capsys.readouterr().err
    assert told in error and "defaults list" not in error


def test_an_encoder_without_a_form_is_named():
    class Bare(Bag):
        format = None

    source = TaskSource("bare", "target", baskets, {}, TaskOptions())
    with pytest.raises(Problem, match="Give Bare a `format`, or the class of its `spec` a `fit`"):
        formats([source], SETTINGS, {"ids": partial(Bare)}, 0)


def test_the_example_of_the_documentation(tmp_path, monkeypatch, capsys):
    """Its class has `fit` and `hide`: fixmatch and simclr run, reconstructions and noise are refused."""
    files = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for file, content in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [
        "--config-dir",
        str(tmp_path / "mine"),
        "+encoder/basket=bag",
        "source=baskets",
        "target=other_baskets",
        "threads=1",
    ]
    assert check([*words, "target.shots=0", "transfer=fixmatch"]) == 0
    assert check([*words, "target.shots=3", "pretrain=simclr"]) == 0
    assert check([*words, "target.shots=3", "pretrain=mae"]) == 1
    assert "basket is not made of pieces (BasketSpec has no `pieces`)" in capsys.readouterr().err
    import baskets as written

    assert issubclass(written.BasketSpec, Modality) and written.BasketSpec(9) == written.BasketSpec(9)


def test_augmentations_leave_another_form_alone():
    """Numbers that are called image or text, of a class that knows no augmentation."""
    context, _ = context_of()
    batch = batch_of(context)["source"]
    films = torch.randint(0, 256, (len(batch), 3, 6, 6))
    codes = Sequences(torch.full((len(batch), 5), 7), torch.ones(len(batch), 5, dtype=torch.bool))
    specs = {"image": IdsSpec(256), "text": IdsSpec(8)}
    batch = replace(batch, inputs={"image": films, "text": codes}, specs=specs)
    changes = [partial(crop, padding=1), partial(token_dropout, share=0.5), partial(mixup, alpha=1.0)]
    for augment in changes:
        assert augment(batch, torch.Generator().manual_seed(0)) is batch
    for view in (weak(batch), strong(batch)):
        assert view.inputs["image"] is films and view.inputs["text"] is codes
