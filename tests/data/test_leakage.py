"""What a target is measured on was not learned from: by a checkpoint, a vocabulary, or under another name."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toys.runs import only
from toys.tasks import blobs, prepared

from xlearn.commands.check import main as check
from xlearn.commands.train import main
from xlearn.data.leakage import lends, need_disjoint
from xlearn.data.options import TaskOptions
from xlearn.data.task import AudioSpec, ImageSpec, TabularSpec, TextSpec
from xlearn.data.task_source import TaskSource, raw
from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem

TEXT = ["encoder.text.embedding=4", "encoder.text.width=4"]


def refused(words, capsys):
    assert main(words) == 1
    return capsys.readouterr().err


@pytest.mark.slow
def test_weights_that_have_learned_test_rows_are_refused_wherever_they_lie(toy, tmp_path, capsys):
    """A copy of the file, through a second run that learned other data, and under another name."""
    here = ["source=none", "target=pairs", "target.modalities=[image]"]
    assert main([*toy, *here, "transfer=scratch", "experiment=a"]) == 0
    [first] = (file.parent.resolve() for file in Path("outputs/a").rglob("result.json"))
    shutil.copy(first / "weights.safetensors", tmp_path / "copied.safetensors")
    begins = "pretrain.start.path"
    again = [*toy, *here, "pretrain=checkpoint"]
    assert main([*again, f"{begins}={first}", "target.shots=3"]) == 0
    for start in (first, tmp_path / "copied.safetensors"):
        said = refused([*again, f"{begins}={start}", "target.test=0.5"], capsys)
        assert "of the 60 test examples of the target" in said and str(start) in said
    others = [*toy, "source=none", "target=dim", "pretrain=checkpoint", f"{begins}={first}", "target.modalities=[image]"]
    assert main([*others, "experiment=b"]) == 0
    [second] = (file.parent.resolve() for file in Path("outputs/b").rglob("result.json"))
    assert "has learned from" in refused([*again, f"{begins}={second}", "target.test=0.5"], capsys)


@pytest.mark.slow
def test_a_checkpoint_of_another_vocabulary_is_refused(toy, capsys):
    words = [*toy, *TEXT, "source=none", "target=words"]
    assert main([*words, "transfer=scratch"]) == 0
    folder, result = only()
    assert result["forms"]["text"]["unknown"] == 1
    again = [*words, "pretrain=checkpoint", f"pretrain.start.path={folder.resolve()}"]
    assert main([*again, "transfer=linear_probe"]) == 0
    told = refused([*again, "transfer=linear_probe", "text.lowercase=false"], capsys)
    assert "read text in another form" in told and "encoder/text=minilm" in told


@pytest.mark.slow
def test_a_source_that_is_only_named_lends_the_vocabulary_no_test_texts(toy):
    words = [*toy, *TEXT, "source=words", "target=words", "transfer=scratch"]
    assert main([*words, "target.test=0.5"]) == 0


def test_a_source_of_the_same_data_follows_the_targets_split(toy, capsys):
    assert check([*toy, "source=blobs", "target=blobs", "target.test=0.5"]) == 0
    assert check([*toy, "source=blobs", "source.blobs.draw=3", "target=blobs", "transfer=joint"]) == 0


def test_what_the_target_validates_on_may_validate_a_source_and_not_teach_it():
    """The same data and test rows under two names; the source validates on less."""
    target = prepared(blobs, val=0.4)
    source = prepared(blobs, where="source.blobs", val=0.1)
    assert not torch.isin(target.test.examples.rows, torch.cat([source.train.rows, source.val.rows])).any()
    taught = int(torch.isin(target.val.rows, source.train.rows).sum())
    assert 0 < taught < len(target.val)
    with pytest.raises(Problem, match=f"the source uses {taught} validation examples of the target"):
        need_disjoint([source], target)
    need_disjoint([target], source)
    need_disjoint([prepared(blobs, where="source.blobs", val=0.4)], target)


@pytest.mark.parametrize("side", ["text", "present", "official", "origin"])
def test_sides_that_do_not_match_are_named(side):
    def uneven():
        rows = {name: torch.arange(6 - (name == side)) for name in ("present", "official", "origin")}
        return Raw(
            {"image": blobs(classes=2, per_class=3).inputs["image"], "text": ["a"] * (6 - (side == "text"))},
            torch.arange(6) % 2, ("a", "b"), "toy", official=rows["official"] * 0, present={"text": rows["present"] >= 0},
            origin={"image": ("toy", rows["origin"])},
        )  # fmt: skip

    with pytest.raises(Problem, match=f"uneven has 6 labels and 5 rows of {side}.*, which do not match"):
        raw(TaskSource("uneven", "target", uneven, {"side": side}, TaskOptions()))


def test_an_encoder_of_another_modality_is_named(toy, tmp_path, capsys):
    folder = tmp_path / "wrong" / "encoder" / "text"
    folder.mkdir(parents=True)
    (folder / "sound.yaml").write_text(
        "# For sounds\n_target_: xlearn.encoders.AudioCnn\nchannels: [4]\ndense: 4\n", encoding="utf-8"
    )
    words = ["--config-dir", str(tmp_path / "wrong"), *toy, "target=words", "source=none", "transfer=scratch"]
    told = refused([*words, "encoder/text=sound"], capsys)
    assert "encoder.text: AudioCnn reads AudioSpec, and text is TextSpec here" in told


@pytest.mark.parametrize("words", [["augment=token_dropout"], ["robustness=noise", "robustness.noise.modality=text"]])
def test_a_tokeniser_with_another_unknown_token_is_told(words, toy, monkeypatch, capsys):
    from dataclasses import replace

    from xlearn.data.modalities import text

    fit, unknown = text.fit, None if "robustness=noise" in words else 100

    def other(pools, options):
        return replace(made := fit(pools, options), spec=replace(made.spec, unknown=unknown))

    other.__qualname__ = f"other {unknown}"
    monkeypatch.setattr(text.TextSpec, "fit", staticmethod(other))
    told = refused([*toy, *TEXT, "target=words", "source=none", "transfer=scratch", *words], capsys)
    assert ("which only tokenisers trained by xlearn have" if unknown else "TextSpec has no `noise`") in told


@pytest.mark.parametrize(
    ("spec", "learned"),
    [
        (TextSpec(10, 5, "learned here"), True),
        (TabularSpec(("a",), "means"), True),
        (AudioSpec(12, None, "frames that came as such"), True),
        (AudioSpec(40, 8000, "log-mel, clip by clip"), False),
        (ImageSpec(1, 6, 6), False),
    ],
)
def test_forms_that_are_learned_from_data(spec, learned):
    given = SimpleNamespace(inputs={"image": ImageSpec(1, 6, 6), "other": spec})
    assert lends(given) is learned
