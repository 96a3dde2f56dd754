"""Texts of others (names of classes, files, columns) for terminals and pages."""

import re
from typing import Any

# The first characters of what spreadsheets compute.
FORMULA = ("=", "+", "-", "@")

# Characters that act instead of being shown: control characters but line feed and tab, directions of writing, separators of
# lines, and halves of characters, which cannot be written as UTF-8.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with characters that a terminal would obey written as escapes: ESC is `\x1b`. Line feeds and tabs stay."""
    return ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def in_one_line(text: str) -> str:
    r"""As `printable`, for a name in a line of others: line feeds and tabs are `\n` and `\t`."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def no_formula(value: Any) -> Any:
    """A text that a spreadsheet would compute, or that holds control characters, made harmless: `'=1+1`. A number, also one
    written as text, stays as it is.
    """
    if not isinstance(value, str):
        return value
    text = in_one_line(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
