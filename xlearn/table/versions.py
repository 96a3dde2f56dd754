"""The same run, computed by several versions of xlearn: the newest result counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xlearn.config.schema import identity
from xlearn.results.files import RESULT
from xlearn.runtime.hashing import digest
from xlearn.table.collect import Record


def key(record: Record) -> str:
    """The digest of the configuration that determines a run's numbers."""
    return digest(identity(record.config))


def newest(records: Sequence[Record]) -> tuple[list[Record], tuple[str, ...]]:
    """(the records without outdated results, a note about these if there are any). Outdated: the same run has a newer result
    of another version of xlearn.

    Results of the same configuration and version stay: one of them is a copy, which a table refuses.
    """
    if len({_version(record) for record in records if record.result is not None}) < 2:
        return [*records], ()
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.result is not None:
            runs.setdefault(key(record), []).append(record)
    older: dict[int, Record] = {}
    for each in runs.values():
        if len({_version(record) for record in each}) > 1:
            last = _version(max(each, key=_written))
            older |= {id(record): record for record in each if _version(record) != last}
    if not older:
        return [*records], ()
    places = sorted({str(record.folder) for record in older.values()})
    listed = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
    note = f"{len(places)} result(s) of an earlier version are left out: their runs were computed again ({listed})."
    return [record for record in records if id(record) not in older], (note,)


def packages(results: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Package -> the versions that computed the results."""
    found: dict[str, set[str]] = {}
    for result in results:
        for name, version in (result.get("versions") or {}).items():
            found.setdefault(name, set()).add(str(version))
    return {name: tuple(sorted(each)) for name, each in sorted(found.items())}


def _written(record: Record) -> tuple[int, float]:
    assert record.result is not None
    return record.result["format"], (record.folder / RESULT).stat().st_mtime


def _version(record: Record) -> tuple[object, ...]:
    """The version of xlearn that computed a result: format of the result, version number, digests of the code."""
    result = record.result or {}
    code = (result.get("code"), result.get("code_with_components"))
    return result.get("format"), (result.get("versions") or {}).get("xlearn"), code
