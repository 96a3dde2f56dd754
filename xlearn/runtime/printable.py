"""Texts of others (names of classes, files, columns) for terminals and pages."""

import re

# Characters that act instead of being shown: control characters but line feed and tab, directions of writing, separators of
# lines, and halves of characters, which cannot be written as UTF-8.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with characters that a terminal would obey written as escapes: ESC is `\x1b`. Line feeds and tabs stay."""
    return ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def in_one_line(text: str) -> str:
    r"""As `printable`, for a name in a line of others: line feeds and tabs are `\n` and `\t`."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")
