"""A toy task of every modality at once: image, text, audio and tabular say the same class."""

from pathlib import Path

import torch
from toys import pairs, words

from xlearn.data.columns import Ragged
from xlearn.data.tasks import Raw

RATE = 8000


def everything() -> Raw:
    """120 examples of three classes; the sound is a tone of 300, 600 or 900 Hz, a tenth to a fifth of a second long."""
    both, texts = pairs(), words()
    generator = torch.Generator().manual_seed(9)
    tones = []
    for label in both.labels.tolist():
        seconds = torch.arange(int(torch.randint(RATE // 10, RATE // 5, (), generator=generator))) / RATE
        noise = torch.randn(len(seconds), generator=generator)
        tones.append(torch.sin(2 * torch.pi * 300 * (label + 1) * seconds) + 0.1 * noise)
    inputs = {**both.inputs, **texts.inputs, "audio": Ragged.of(tones)}
    return Raw(inputs, both.labels, both.classes, "blobs", columns=both.columns, rate=RATE)


def everything_words(folder: Path, source: list[str], target: list[str]) -> list[str]:
    """The words of an experiment from one set of modalities to another."""
    tasks = folder / "everything" / "task"
    tasks.mkdir(parents=True, exist_ok=True)
    (tasks / "everything.yaml").write_text("# All modalities\n_target_: toy_modalities.everything\n", encoding="utf-8")
    return [
        "--config-dir", str(folder / "everything"), "source=everything", "target=everything",
        f"source.everything.modalities=[{','.join(source)}]", f"target.modalities=[{','.join(target)}]",
        "encoder/image=mlp", "encoder.image.widths=[16,8]", "budget=quick", "threads=1",
    ]  # fmt: skip
