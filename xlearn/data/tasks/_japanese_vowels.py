"""Japanese Vowels: utterances of /ae/ by nine speakers (the classes)."""

import numpy
import torch

from xlearn.data.columns import Ragged
from xlearn.data.tasks import OPEN, TEST, Raw
from xlearn.runtime.storage import Archive

AEON = Archive(
    package="aeon",
    version="1.6.0",
    file="aeon-1.6.0-py3-none-any.whl",
    sha256="d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
)
MEMBER = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
SPEAKERS = tuple("123456789")


def japanese_vowels() -> Raw:
    """640 utterances of 7 to 29 frames of 12 cepstra, 9 speakers (Kudo, Toyama & Shimbo, 1999; aeon, BSD-3).

    With the published split: 30 utterances of each speaker for training, 370 for the test.
    """
    frames, labels, official = [], [], []
    for part, mark in (("TRAIN", OPEN), ("TEST", TEST)):
        _, _, data = AEON.member(MEMBER.format(part)).read_text(encoding="utf-8").partition("@data\n")
        for line in data.splitlines():
            *channels, label = line.split(":")
            values = numpy.array([channel.split(",") for channel in channels], numpy.float32)
            frames.append(torch.from_numpy(values.T.copy()))
            labels.append(SPEAKERS.index(label.strip()))
            official.append(mark)
    split = torch.tensor(official, dtype=torch.int8)
    origin = {"audio": ("japanese_vowels", torch.arange(len(labels)))}
    return Raw({"audio": Ragged.of(frames)}, torch.tensor(labels), SPEAKERS, "japanese_speakers", split, origin=origin)
