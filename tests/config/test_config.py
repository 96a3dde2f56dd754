"""All of `conf/`: counted, composed, built, and each option run on two tiny batches."""

from pathlib import Path

import pytest
from toys.runs import everything_words

from xlearn.commands.check import composed, main
from xlearn.commands.show import first_comment, show_all, show_option
from xlearn.config.folders import conf_folder, groups, options, read_yaml
from xlearn.runtime.errors import Problem

CONF = conf_folder()
FILES = sorted(str(file.relative_to(CONF)) for file in CONF.rglob("*.yaml"))
EXPECTED = {
    ".": 1, "augment": 13, "balance": 16, "batches": 2, "budget": 2, "comparison": 1, "encoder/audio": 3, "encoder/image": 7,
    "encoder/tabular": 1, "encoder/text": 6, "fusion": 14, "label_space": 3, "measuring": 2, "objective": 7, "optimizer": 3,
    "pretrain": 28, "regularizer": 3, "robustness": 2, "schedule": 3, "sharing": 17, "table": 30, "task": 35, "trainable": 5,
    "transfer": 56, "trunk": 2, "views": 2,
}  # fmt: skip
QUICK = ["budget=quick", "threads=1"]  # and what an option needs beside itself to be runnable here:
NEEDS = {
    "pretrain=none": ["transfer=scratch"],
    "pretrain=checkpoint": ["+checkpoint"],
    "encoder/image=efficientnet_lite0": ["encoder.image.weights=null", "encoder.image.size=32"],
    "transfer=source_only": ["sharing=all"],
    "transfer=episodes": ["pretrain=maml"],
    **{f"balance={name}": ["transfer=joint"] for name in options("balance", [CONF]) if name != "equal"},
    **{
        f"sharing={name}": ["transfer=joint"]
        for name, file in options("sharing", [CONF]).items()
        if read_yaml(file)["_target_"].rpartition(".")[2][0].isupper()  # a structure for tasks learned together
    },
    "transfer=joint_finetune": ["sharing=all"],
    "transfer=norm_only": ["encoder/image=resnet18"],
    "transfer=sequential": ["sharing=progressive"],
    "transfer=knowledge_fusion": ["source=[mnist5k,optdigits]", "target=mnist5k"],
    **{f"transfer={name}": ["encoder.image.normalisation=batch"] for name in ("adabn", "tent")},
    **{f"pretrain={name}": ["source=[mnist5k,optdigits]", "target=mnist5k"] for name in ("groupdro", "irm", "vrex", "mixup")},
    "pretrain=digit_net": ["encoder/image=digit_net", "source=none"],
    "encoder/image=digit_net": ["encoder.image.weights=null"],
    "robustness=missing": ["robustness.missing.modality=image"],
    "robustness=noise": ["robustness.noise.modality=image"],
}
# Options that act on other modalities than the default experiment's: (the source's, the target's, what else).
MODALITIES = {
    **{f"augment={name}": (["audio"], ["audio"], []) for name in ("noise", "spec_augment", "time_shift")},
    **{f"augment={name}": (["text"], ["text"], []) for name in ("token_dropout", "span_masking")},
    "augment=modality_dropout": (["image", "text"], ["image", "text"], []),
    "encoder/audio=audio_cnn": (["audio"], ["audio"], []),
    "encoder/tabular=mlp": (["tabular"], ["tabular"], []),
    **{f"encoder/text={name}": (["text"], ["text"], []) for name in ("lstm", "transformer", "text_cnn")},
    **{f"pretrain={name}": (["image", "text"], ["image"], ["fusion=mean", "fusion.width=8"]) for name in ("clip", "siglip")},
    "transfer=kd": (["image", "tabular"], ["tabular"], []),
    "transfer=joint": (["text"], ["image"], ["fusion=mean", "fusion.width=8", "trunk=mlp"]),
}
FUSED = ["image", "tabular", "text"]
# Their files come from the package index or the hub: their own tests run them.
FETCHED = (
    "encoder/image=efficientnet_features",
    "pretrain=digit_net",
    "encoder/audio=speech_embedding",
    "encoder/text=minilm",
    "encoder/text=use_multilingual",
)
NAMED = ("encoder/audio=hf_audio", "encoder/text=hf")


def test_every_file_is_counted():
    found: dict[str, int] = {}
    for name in FILES:
        group = str(Path(name).parent)
        found[group] = found.get(group, 0) + 1
    assert found == EXPECTED
    assert sorted(EXPECTED.keys() - {"."}) == groups([CONF])


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_what_it_is_and_stays_short(name):
    assert first_comment(CONF / name)
    if name != "train.yaml":
        assert len((CONF / name).read_text(encoding="utf-8").splitlines()) <= (80 if name.startswith("table/") else 40)


def choices():
    for group in groups([CONF]):
        if group in ("task", "table", "trainable", "label_space", "batches", "measuring"):  # run by the options that name them
            continue
        for option in options(group, [CONF]):
            yield f"{group}={option}"


def every():
    for choice in sorted(choices()):
        if choice not in NAMED:
            # Ways of training, sharing and balancing are run by tests of their own; all of them as configured by the slow.
            slow = choice in (*FETCHED, "encoder/image=resnet18") or "source=[mnist5k,optdigits]" in NEEDS.get(choice, [])
            slow = slow or choice.partition("=")[0] in ("balance", "pretrain", "sharing", "transfer")
            yield pytest.param(choice, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("choice", list(every()))
def test_every_option_runs_on_two_tiny_batches(choice, tmp_path, capsys):
    needs = NEEDS.get(choice, [])
    if choice in FETCHED and choice not in NEEDS:
        modality = choice.partition("=")[0].partition("/")[2]
        needs = everything_words(tmp_path, [modality], [modality])
    elif choice.startswith("fusion="):
        needs = [*everything_words(tmp_path, FUSED, FUSED), *(["fusion.width=8"] if choice == "fusion=mean" else [])]
    elif choice in MODALITIES:
        source, target, others = MODALITIES[choice]
        needs = [*everything_words(tmp_path, source, target), *others]
    if "+checkpoint" in needs:
        needs = [f"pretrain.start.path={_checkpoint(tmp_path)}", "source=none"]
    assert main([*QUICK, choice, *needs]) == 0, capsys.readouterr().err


def _checkpoint(folder: Path) -> Path:
    """The weights of the default network for one channel and 8 x 8 images."""
    import torch

    from xlearn.data.task import ImageSpec
    from xlearn.encoders.cnn import Cnn
    from xlearn.runtime.storage import write_tensors

    torch.manual_seed(0)
    encoder = Cnn(ImageSpec(1, 8, 8), widths=[32, 64, 64], dense=64)
    write_tensors(folder / "encoder.safetensors", {f"encoder.image.{k}": v for k, v in encoder.state_dict().items()})
    return folder / "encoder.safetensors"


@pytest.mark.parametrize("name", options("task", [CONF]))
def test_every_task_composes_as_source_and_as_target(name):
    given = ["source.{0}.folder=x", "target.folder=x"] if name == "image_folder" else []
    given = ["source.{0}.folder=x", "target.folder=x"] if name == "audio_folder" else given
    given = ["source.{0}.name=x", "target.name=x"] if name == "hf_images" else given
    given = ["source.{0}.file=x", "source.{0}.label=y", "target.file=x", "target.label=y"] if name == "own_table" else given
    problems, config, _ = composed([f"source={name}", f"target={name}", *(each.format(name) for each in given)], [])
    assert problems == []
    assert config["source"][name]["_target_"] == config["target"]["_target_"]
    assert config["target"]["shots"] == 5
    assert config["source"][name]["shots"] is None


def test_two_sources_compose_and_keep_their_options():
    problems, config, _ = composed(["source=[mnist5k,optdigits]", "source.mnist5k.classes=[0,1]"], [])
    assert problems == []
    assert list(config["source"]) == ["mnist5k", "optdigits"]
    assert config["source"]["mnist5k"]["classes"] == [0, 1]


def test_show_lists_every_option_and_its_documentation():
    text = show_all([CONF])
    for choice in choices():
        assert choice.split("=")[0] in text
        group, _, option = choice.partition("=")
        shown = show_option(group, option, [CONF])
        assert "(no docstring)" not in shown
        assert "(see the documentation of xlearn)" not in shown


def test_defaults_stand_in_the_yaml_and_agree_with_the_schema():
    from dataclasses import asdict, fields

    from xlearn.config.schema import TrainConfig
    from xlearn.data.options import AudioOptions, ImageOptions, TextOptions

    named = {str(key) for key in read_yaml(CONF / "train.yaml")} - {"defaults", "hydra"}
    chosen = {
        next(iter(each)).split("@")[-1].split("/")[0]
        for each in read_yaml(CONF / "train.yaml")["defaults"]
        if isinstance(each, dict)
    }
    content = read_yaml(CONF / "train.yaml")
    for name, defaults in (("image", ImageOptions()), ("text", TextOptions()), ("audio", AudioOptions())):
        assert content[name] == asdict(defaults)
    known = {each.name for each in fields(TrainConfig)}
    assert named | {name.removeprefix("override ") for name in chosen} - {"override hydra"} >= known - {"label_space"}


def test_every_group_takes_one_option_and_no_list():
    from xlearn.config.compose import LISTS, check_choices, choices, composed, register

    register([])
    chosen = choices(composed([], []).hydra)
    teachers = {group.replace("encoder", "teacher") for group in EXPECTED if group.startswith("encoder/")}
    without = {".", "table", "task", "trainable", "label_space", "measuring", "augment", "robustness", "comparison"}
    assert {"source", "target", "transfer@baseline", *teachers, *EXPECTED} - without == set(chosen)
    check_choices(chosen)
    for group in set(chosen) - set(LISTS):
        with pytest.raises(Problem, match=f"^{group}: choose one option, as in {group}="):
            check_choices({name: option for name, option in chosen.items() if name != group})
    check_choices({name: option for name, option in chosen.items() if name not in LISTS})


@pytest.mark.parametrize("words", ["regularizer=[l1,l2]", "encoder/image=[mlp,cnn]", "target=[mnist5k,optdigits]", "~transfer"])
def test_options_are_not_merged_silently(words):
    group = words.lstrip("~").partition("=")[0]
    problems, _, _ = composed([words], [])
    assert len(problems) == 1 and problems[0].startswith(f"{group}: choose one option, as in {group}=")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.yaml", b"_target_: [1\nb: 2\n", ["bad.yaml, line 2: this is no YAML"]),
        ("bad.yaml", b"- 1\n", ["bad.yaml holds a list, where a mapping is expected"]),
        ("bad.yaml", b"hello\n", ["bad.yaml holds 'hello'"]),
        ("bad.yaml", b"# \xff\n", ["bad.yaml is not UTF-8 text", "0xff"]),
        (
            "my.task.yaml",
            b"_target_: toys.tasks.blobs\n",
            ["no task can be called 'my.task'", "Rename the file, e.g. to my_task.yaml"],
        ),
        ("none.yaml", b"_target_: toys.tasks.blobs\n", ["no task can be called 'none'", "my_none.yaml"]),
        ("target.yaml", b"_target_: toys.tasks.blobs\n", ["no task can be called 'target'", "my_target.yaml"]),
    ],
)
def test_a_task_that_cannot_be_chosen(name, content, words, tmp_path, capsys):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / name).write_bytes(content)
    (tmp_path / "task" / "other.yaml").write_text("- also wrong\n")
    assert main(["--config-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("2 problem(s):") and "other.yaml holds a list" in told
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"phases: [1\nb: 2\n", "mine.yaml, line 2: this is no YAML"),
        (b"- 1\n", "mine.yaml holds a list, where a mapping is expected"),
        (b"phasez: {}\n", "mine.yaml: Key 'phasez' not in 'ChainConfig'"),
        (b"# \xff\n", "is not UTF-8 text"),
    ],
)
def test_an_option_that_cannot_be_read(content, words, tmp_path):
    (tmp_path / "transfer").mkdir()
    (tmp_path / "transfer" / "mine.yaml").write_bytes(content)
    problems, _, _ = composed(["transfer=mine"], [tmp_path])
    assert len(problems) == 1 and words in problems[0]


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "it's a, folder [x]"
    (folder / "transfer").mkdir(parents=True)
    (folder / "transfer" / "mine.yaml").write_text("# Nothing\ncarry: false\n")
    problems, config, _ = composed(["transfer=mine"], [folder])
    assert problems == [] and config["choices"]["transfer"] == "mine"
