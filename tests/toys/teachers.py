"""Students and teachers of every modality, and what both read."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from toys.tasks import PAIRED, SPEC
from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, Batch, Examples, TextSpec
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.transformer import Transformer
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext

# Of six examples, those that the teacher sees.
SEEN = torch.tensor([1, 1, 0, 1, 1, 0]).bool()
TEXT, AUDIO = TextSpec(30, 12, "words"), AudioSpec(8, 8000, "frames")
ENCODERS = {
    "cnn": ("image", partial(Cnn, SPEC, widths=[4, 6], dense=5)),
    "wide": ("image", partial(Cnn, SPEC, widths=[8, 3, 7], dense=9)),
    "lstm": ("text", partial(Lstm, TEXT, embedding=4, width=6, layers=2, dropout=0.0)),
    "few_words": ("text", partial(Lstm, TextSpec(10, 12, "few"), embedding=4, width=6, dropout=0.0)),
    "transformer": ("text", partial(Transformer, TEXT, width=8, layers=2, heads=2, feedforward=8, dropout=0.0)),
    "text_cnn": ("text", partial(TextCnn, TEXT, embedding=4, filters=3, kernels=[2, 3], dropout=0.0)),
    "audio": ("audio", partial(AudioCnn, AUDIO, channels=[3, 5], dense=6, dropout=0.0)),
    "frames": ("audio", partial(AudioCnn, AUDIO, channels=[4, 4, 6], dense=7, tokens="frames", dropout=0.0)),
}


@dataclass
class Given:
    """What an objective asks of a task."""

    train: Examples

    @property
    def inputs(self) -> Any:
        return self.train.inputs

    @property
    def labels(self) -> Any:
        return self.train.space


def network_of(*names: str, seed: int = 0) -> Network:
    """A network of these encoders."""
    torch.manual_seed(seed)
    encoders = {ENCODERS[name][0]: ENCODERS[name][1]() for name in names}
    fusion = Mean({modality: each.width for modality, each in encoders.items()}, width=4 + seed)
    return Network(encoders, fusion, {PAIRED.key: torch.nn.Linear(4 + seed, 2)})


def inputs_of(*modalities: str, count: int = 8, **present: Tensor) -> Examples:
    """Random examples of these modalities."""
    generator = torch.Generator().manual_seed(4)
    lengths = [3 + each % 5 for each in range(count)]
    inputs = {
        "image": torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8),
        "text": Ragged.of([torch.randint(1, 30, (each,), generator=generator, dtype=torch.int32) for each in lengths]),
        "audio": Ragged.of([torch.randn(3 * each, 8, generator=generator) for each in lengths]),
    }
    chosen = {name: inputs[name] for name in modalities}
    return Examples(chosen, torch.arange(count) % 2, torch.arange(count), PAIRED, present=present)


def begun_by(student: Network, teacher: Network, given: Examples, **values: Any) -> PhaseContext:
    return PhaseContext(student, frozenset(), {}, (teacher,), tasks={"target": Given(given)}, **values)


def student_and_teacher(one: str, other: str, given: Examples) -> tuple[Network, Network, PhaseContext, dict[str, Batch]]:
    """Of the encoders `one` and `other`, e.g. `cnn+lstm`, with a context and a batch of all that is given."""
    student, teacher = network_of(*one.split("+")), network_of(*other.split("+"), seed=1)
    return student, teacher, begun_by(student, teacher, given), {"target": given.take(torch.arange(len(given)))}


def taught_context(student: nn.Module, *teachers: nn.Module) -> PhaseContext:
    return PhaseContext(student, frozenset(), {"target": torch.tensor([3, 3])}, teachers)


def two_sides(student: Tensor, teacher: Tensor) -> tuple[dict, dict]:
    """As torchdistill is given what student and teacher say."""
    return {"s": {"output": student}}, {"t": {"output": teacher}}
