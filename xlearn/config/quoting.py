"""Words that Hydra's grammar refuses, as sentences that show how the shell and Hydra need them written."""

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from xlearn.runtime.errors import Problems

# The key of an override, with its sign and package; `seed==3` has the value `=3`.
WORD = re.compile(r"(?P<sign>[+~]{0,2})(?P<key>[\w./@:$-]+)(?:=(?P<value>.*))?", re.S)
# A list: its items are quoted one by one.
LIST = re.compile(r"\s*\[(.*)\]\s*", re.S)


def need_parsed(overrides: Sequence[str]) -> None:
    """Raise `Problems` with a sentence for each override that Hydra cannot parse."""
    if wrong := [sentence(each) for each in overrides if not parses(each)]:
        raise Problems(wrong)


def parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def sentence(override: str) -> str:
    """The sentence for an override that Hydra cannot parse, or that needs quotes to be one text."""
    match = WORD.fullmatch(override)
    if match is None:
        key = override.partition("=")[0]
        return f"{override}: {key!r} is no key. Write key=value, with a key of letters, digits, dots and slashes."
    value = match["value"]
    if value is None:
        return f"{override}: it has no value. Write {override}=VALUE."
    if value.startswith("=") and parses(f"{match['sign']}{match['key']}{value}"):
        return f"{override}: there are two equals signs. Write {match['sign']}{match['key']}{value}."
    written = shown(override)
    if written is None:
        return (
            f"{override}: Hydra cannot read this value of {match['key']}. Write it without quotes, brackets and braces in it."
        )
    return (
        f"{override}: the value of {match['key']} has characters with a meaning of their own. Quote it, so that neither the "
        f"shell nor Hydra reads them: {written}"
    )


def shown(override: str) -> str | None:
    """The override as it is typed in a shell, its value or the items of its list in quotes; None if that cannot be parsed."""
    key, _, value = override.partition("=")
    inside = LIST.fullmatch(value)
    items = [each.strip() for each in inside[1].split(",")] if inside else []
    listed = f"[{','.join(each if parses(f'key={each}') else _quoted(each) for each in items)}]"
    for written in ([listed] if inside else []) + [_quoted(value)]:
        if parses(word := f"{key}={written}"):
            return shlex.quote(word)
    return None


def _quoted(text: str) -> str:
    """A text in Hydra's double quotes. A backslash is escaped before a quotation mark and at the end only: Hydra's grammar."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), text) + '"'
