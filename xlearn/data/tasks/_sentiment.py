"""English sentences of four domains, each rated by twenty people, from the package vaderSentiment."""

import html
import tarfile
from typing import Literal

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.duplicates import first_rows, spelled, without_duplicates
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import Archive

ARCHIVE = Archive(
    package="vaderSentiment",
    version="3.3.2",
    file="vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
MEMBER = "additional_resources/hutto_ICWSM_2014.tar.gz"
FILES = {"amazon": "amazonReviewSnippets", "movie": "movieReviewSnippets", "nyt": "nytEditorialSnippets", "tweets": "tweets"}


def sentiment(*, domain: Literal["amazon", "movie", "nyt", "tweets"], neutral: float = 0.5) -> Raw:
    """Negative or positive: 4,200 tweets, 3,708 sentences of Amazon reviews, 10,605 of film reviews, 5,190 of NYT leaders.

    Hutto & Gilbert (ICWSM 2014), MIT, from the source distribution of vaderSentiment 3.3.2. At least twenty people rated each
    text from -4 to 4. Texts with a mean rating of at most `neutral` from 0 are left out (by default half a point: 20 % of the
    tweets and of the Amazon sentences, 5 % of the film reviews, 46 % of the NYT), as are texts that occur twice. The label
    space is that of the Chinese reviews. No official test split.
    """
    if not 0 <= neutral < 2:
        raise Problem(f"neutral={neutral}: give a distance from the middle of the ratings in [0, 2), e.g. 0.5.")
    with tarfile.open(ARCHIVE.member(MEMBER)) as archive:
        stream = archive.extractfile(f"hutto_ICWSM_2014/{FILES[domain]}_GroundTruth.txt")
        assert stream is not None  # a pinned archive has the members it was pinned for
        # Not `splitlines`, which also breaks at characters that occur within a text.
        lines = [line.removesuffix("\r") for line in stream.read().decode("utf-8").split("\n")]
    rows = [line.split("\t") for line in lines if line.strip()]
    rated = [(float(rating), html.unescape(text)) for _, rating, text in rows]
    # `neutral` may decide which of two copies is left: both have the position of the file's first copy.
    lines_of = first_rows([spelled(text) for _, text in rated])
    clear = [
        (text, int(rating > 0), line) for (rating, text), line in zip(rated, lines_of, strict=True) if abs(rating) > neutral
    ]
    kept, notes = without_duplicates([text for text, _, _ in clear], [label for _, label, _ in clear])
    texts, labels, places = zip(*(clear[row] for row in kept), strict=True)
    return Raw(
        {"text": list(texts)},
        torch.tensor(labels),
        ("negative", "positive"),
        "sentiment",
        notes={"neutral_left_out": len(rated) - len(clear), **notes},
        origin={"text": (f"sentiment {domain}", torch.tensor(places))},
    )
