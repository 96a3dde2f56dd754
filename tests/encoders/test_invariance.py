"""Evaluation is a function of the model and the example: of every encoder and fusion in `conf/`, whatever the batch."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from toys.phases import CPU

from xlearn.config.component import component
from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.data.columns import Column, Ragged
from xlearn.data.task import AudioSpec, Examples, ImageSpec, TabularSpec, TextSpec, VectorSpec
from xlearn.label_spaces.classes import Classes
from xlearn.networks import evaluate
from xlearn.networks.network import Network

SPACE = Classes("toy", ("a", "b", "c"))
COUNT = 7
# The widths of a run's defaults, which are interpolated from other keys.
CHANGES: dict[str, dict[str, Any]] = {"mean": {"width": 64}}
GROUPS = ("image", "text", "audio", "tabular")
ENCODERS = [(group, name) for group in GROUPS for name in options(f"encoder/{group}", [conf_folder()])]
FUSIONS = sorted(options("fusion", [conf_folder()]))
SPECS = {
    "image": ImageSpec(1, 28, 28),
    "text": TextSpec(40, 40, "toy"),
    "audio": AudioSpec(12, 8000, "toy"),
    "tabular": TabularSpec(("a", "b", "c"), "toy"),
    "minilm": TextSpec(30522, 40, "toy"),
    "speech_embedding": AudioSpec(32, 16000, "toy"),
    "hf_audio": AudioSpec(0, 16000, "toy"),
    "efficientnet_features": VectorSpec(1280, "toy"),
    "use_multilingual": VectorSpec(512, "toy"),
}
LENGTHS = {"text": (40, 3, 17, 1, 9, 40, 2), "audio": (30, 1, 11, 4, 8, 2, 30)}
LENGTHS |= {"speech_embedding": (140, 20, 76, 77, 100, 84, 1), "hf_audio": (900, 300, 160, 3, 503, 900, 420)}


@cache
def published(kind: str) -> str:
    """A folder with a small network of transformers."""
    import tempfile

    from toys.published import small

    folder = tempfile.mkdtemp()
    small(kind).save_pretrained(folder)
    return folder


def encoder(group: str, name: str, kind: str = "") -> torch.nn.Module:
    """With random weights and running statistics, in evaluation mode."""
    node = {**read_yaml(options(f"encoder/{group}", [conf_folder()])[name]), **CHANGES.get(name, {})}
    if "weights" in node:
        node["weights"] = None
    if name in ("hf", "hf_audio"):
        pytest.importorskip("transformers")
        node |= {"name": published(kind or {"hf": "bert", "hf_audio": "wav2vec2"}[name])}
    if name in ("hf", "minilm"):
        node["length"] = 40
    torch.manual_seed(0)
    made = component(node, f"encoder.{group}", positional=1)(SPECS.get(name, SPECS[group]))
    return shaken(made).eval()


@torch.no_grad()
def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """No vector or statistic at a special value, as after training."""
    for _, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.rand_like(value))
    return module


def column(group: str, name: str = "") -> Column:
    generator = torch.Generator().manual_seed(0)
    spec = SPECS.get(name, SPECS[group])
    if isinstance(spec, ImageSpec):
        return torch.randint(0, 256, (COUNT, 1, 28, 28), generator=generator, dtype=torch.uint8)
    if isinstance(spec, VectorSpec):
        return torch.randn(COUNT, spec.width, generator=generator)
    if isinstance(spec, TabularSpec):
        return torch.randn(COUNT, 3, generator=generator).masked_fill(
            torch.rand(COUNT, 3, generator=generator) < 0.2, torch.nan
        )
    lengths = LENGTHS.get(name, LENGTHS[group])
    if isinstance(spec, TextSpec):
        return Ragged.of([torch.randint(4, 30, (each,), generator=generator, dtype=torch.int32) for each in lengths])
    sides = (spec.bands,) if spec.bands else ()
    return Ragged.of([torch.randn(each, *sides, generator=generator) for each in lengths])


def examples(**inputs: Column) -> Examples:
    labels = torch.arange(COUNT) % 3
    return Examples(inputs, labels, torch.arange(COUNT), SPACE)


def network(encoders: dict[str, torch.nn.Module], fusion: str) -> Network:
    node = {**read_yaml(options("fusion", [conf_folder()])[fusion]), **CHANGES.get(fusion, {})}
    widths = {name: each.width for name, each in encoders.items()}
    torch.manual_seed(1)
    joined = shaken(component(node, "fusion", positional=1)(widths))
    return Network(encoders, joined, {SPACE.key: torch.nn.Linear(joined.width, 3)}).eval()


def holds(net: Network, given: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logits of each example are the same alone, in other orders, beside others, and in batches of any size."""
    whole = evaluate.logits(net, given, CPU)
    spread = float(whole.std(correction=0))
    assert spread > 0
    found = {}
    for size in (1, 2, 3):
        monkeypatch.setattr(evaluate, "BATCH", size)
        found[f"batches of {size}"] = evaluate.logits(net, given, CPU)
    monkeypatch.undo()
    for name, order in {"backwards": range(COUNT - 1, -1, -1), "mixed": (3, 0, 6, 1, 5, 2, 4)}.items():
        index = torch.tensor([*order])
        found[name] = evaluate.logits(net, given.subset(index), CPU)[index.argsort()]
    with torch.no_grad():
        # Beside the longest, unsorted; and each with a copy of itself.
        found["unsorted"] = net(given.take(torch.arange(COUNT)))
        found["twice"] = net(given.take(torch.arange(COUNT).repeat_interleave(2)))[::2]
    worst = {name: float((each - whole).abs().max()) / spread for name, each in found.items()}
    assert max(worst.values()) < 1e-4, worst


@pytest.mark.parametrize(("group", "name"), ENCODERS, ids=["-".join(each) for each in ENCODERS])
def test_of_every_encoder(group, name, monkeypatch):
    net = network({group: encoder(group, name)}, "concat")
    holds(net, examples(**{group: column(group, name)}), monkeypatch)


@pytest.mark.parametrize("kind", ["fnet", "convbert"])
def test_of_text_encoders_that_padding_would_change(kind, monkeypatch):
    holds(network({"text": encoder("text", "hf", kind)}, "concat"), examples(text=column("text", "hf")), monkeypatch)


@pytest.mark.parametrize("kind", ["data2vec-audio", "sew", "wav2vec2-conformer"])
def test_of_audio_encoders_that_padding_would_change(kind, monkeypatch):
    net = network({"audio": encoder("audio", "hf_audio", kind)}, "concat")
    holds(net, examples(audio=column("audio", "hf_audio")), monkeypatch)


@pytest.mark.parametrize("missing", [False, True], ids=["all present", "some missing"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_of_every_fusion(fusion, missing, monkeypatch):
    """Of a vector and two sequences of different lengths."""
    audio = {"tokens": "frames", "channels": [4, 6], "dense": 8}
    node = {**read_yaml(options("encoder/audio", [conf_folder()])["audio_cnn"]), **audio}
    torch.manual_seed(0)
    encoders = {
        "audio": component(node, "encoder.audio", positional=1)(SPECS["audio"]).eval(),
        "tabular": encoder("tabular", "mlp"),
        "text": encoder("text", "transformer"),
    }
    if fusion == "tensor":  # of the product's size
        encoders["text"], encoders["tabular"] = small("text", 6), small("tabular", 6)
    given = examples(**{name: column(name) for name in encoders})
    if missing:
        rows = torch.arange(COUNT)
        given = replace(given, present={"audio": rows % 3 > 0, "text": rows % 3 != 1, "tabular": rows > 1})
    holds(network(encoders, fusion), given, monkeypatch)


def small(group: str, width: int) -> torch.nn.Module:
    name, sizes = ("transformer", {"width": width, "heads": 2}) if group == "text" else ("mlp", {"widths": [width]})
    node = {**read_yaml(options(f"encoder/{group}", [conf_folder()])[name]), **sizes}
    return shaken(component(node, f"encoder.{group}", positional=1)(SPECS[group])).eval()
