"""Runs with several names: options of a group that compose to one configuration are one run, with a row for each name."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from xlearn.results.files import read_names
from xlearn.table.collect import Record
from xlearn.table.keys import labels, shown


def named(records: Iterable[Record]) -> list[Record]:
    """The records, and a further one for every other name of a run that its folder lists (`names.json`)."""
    found = []
    for record in records:
        others = [renamed(record, each) for each in read_names(record.folder)]
        found += [record, *(each for each in others if each is not record)]
    return found


def renamed(record: Record, choices: dict[str, Any]) -> Record:
    """The record under other choices; itself where these are its own."""
    return replace(record, choices=choices, computed_as=record.choices) if _pairs(choices, record.choices) else record


def distinct(records: Sequence[Record], keys: Sequence[str]) -> list[Record]:
    """The records without those whose name differs from another one of the same run only in other keys than `keys`."""
    places = [(record.folder, record.sweep, label) for record, label in zip(records, labels(records, keys), strict=True)]
    seen = {place for record, place in zip(records, places, strict=True) if record.computed_as is None}
    kept = []
    for record, place in zip(records, places, strict=True):
        if record.computed_as is None or place not in seen:
            kept.append(record)
        seen.add(place)
    return kept


def equal_names(records: Iterable[Record]) -> list[str]:
    """A sentence about each pair of names of one run, or none."""
    pairs = dict.fromkeys(
        pair for each in records if each.computed_as is not None for pair in _pairs(each.choices, each.computed_as)
    )
    return [f"`=`: {one} and {other} compose to the same configuration, so one run has both names." for one, other in pairs]


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, str]]:
    """The choices in which two names of a run differ, in the groups that both know (versions of xlearn differ in these)."""
    keys = [key for key in one if key in other and one[key] != other[key]]
    return [(f"{key}={shown(one[key])}", f"{key}={shown(other[key])}") for key in keys]
