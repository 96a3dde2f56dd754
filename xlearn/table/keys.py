"""The value of a configuration key in a run: the choice of a group, or the value at a dotted path."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from xlearn.config.schema import DRAW, LISTS, REPLICATES, identity
from xlearn.runtime.errors import Problem, nearest
from xlearn.table.collect import Record

SWEEP = "sweep"  # the key of a sweep's label
UNSET = "unset"


def value(record: Record, key: str) -> str | None:
    """The run's value of `key` as text: its choice in a group (`transfer`, `encoder/image`), else the value at the
    dotted path (`target.shots`), or the label of its sweep (`sweep`). Tasks and other named components show their names,
    joined by ` + `. None: no such key.

    Raises `Problem` for a path that holds several keys.
    """
    if key == SWEEP:
        return record.sweep
    if key not in LISTS and key in record.choices:
        return shown(record.choices[key])
    node: Any = record.config
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    if isinstance(node, dict):
        if "_target_" in node:
            return str(node["_target_"]).rpartition(".")[2]
        if not all(isinstance(each, dict) for each in node.values()):
            raise Problem(f"{key} holds several keys. Name one of them: {', '.join(f'{key}.{name}' for name in node)}.")
        return " + ".join(node) or "none"
    return shown(node)


def repeats(record: Record, key: str) -> bool:
    """Whether `key` numbers repetitions of the run: seed always, draw where it is set, fold only under cross-validation."""
    target = record.config.get("target", {})
    return key == "seed" or (target.get("draw") is not None if key == DRAW else bool(target.get("folds")))


def replicate(record: Record) -> tuple[str, ...]:
    """The replicate of a run: its seed, its draw if it is set, and under cross-validation its fold."""
    return tuple(str(value(record, key)) for key in REPLICATES if repeats(record, key))


def with_draws(records: Sequence[Record]) -> list[Record]:
    """The records. If any sets `target.draw`, the others have theirs too: their seed, which draws their split."""
    if not any(repeats(record, DRAW) for record in records):
        return [*records]

    def drawn(record: Record) -> Record:
        target = {**record.config.get("target", {}), "draw": record.config["seed"]}
        return record if repeats(record, DRAW) else replace(record, config={**record.config, "target": target})

    return [drawn(record) for record in records]


def shown(content: Any) -> str:
    """A value as typed on the command line."""
    if content is None:
        return "null"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, float):
        return repr(content).removesuffix(".0")
    if isinstance(content, list):
        return f"[{','.join(shown(each) for each in content)}]"
    return str(content)


def same(text: str, other: str) -> bool:
    """Whether two texts are the same value: `1e-3` is `0.001`."""
    try:
        return text == other or float(text) == float(other)
    except ValueError:
        return False


def labels(records: Sequence[Record], keys: Sequence[str]) -> list[str]:
    """Each run's values of `keys`, joined by `, `. A key that only some runs have is `unset` in the others.

    Raises `Problem` for a key that no run has.
    """
    columns = []
    for key in keys:
        # A run that failed because its group had no option, or several, has no choice.
        chosen = key not in LISTS and any(key in record.choices for record in records)
        values = [None if chosen and key not in record.choices else value(record, key) for record in records]
        if all(each is None for each in values):
            raise Problem(f"{key}: no run has such a key. {nearest(key, known(records))}")
        columns.append([UNSET if each is None else each for each in values])
    return [", ".join(each) for each in zip(*columns, strict=True)]


def known(records: Iterable[Record]) -> set[str]:
    """Every key in which runs can differ."""
    return {key for record in records for key in (*flat(record), *([SWEEP] if record.sweep else []))}


def flat(record: Record, without: Collection[str] = ()) -> dict[str, str]:
    """Every choice and every leaf of the configuration that is part of a run's identity. `without`: top-level keys of the
    configuration that are left out.
    """
    found = {group: shown(choice) for group, choice in record.choices.items()}
    found |= {key: each for key in LISTS if key not in without and (each := value(record, key)) is not None}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for name, each in node.items():
            if isinstance(each, dict) and each:
                walk(each, f"{prefix}{name}.")
            elif not isinstance(each, dict):
                found[f"{prefix}{name}"] = shown(each)

    walk(identity({key: node for key, node in record.config.items() if key not in without}), "")
    return found


def differing(records: Sequence[Record], without: Collection[str] = ()) -> dict[str, list[str]]:
    """Keys in which the runs differ, with their values, except the keys in `without`.

    Values that follow from the choice of a group are not listed: if `transfer` differs, its phases are left out, but a value
    that differs among runs of the same choice is listed. The same holds for the sweep, if it is in `without`.
    """
    equal = _equal(records)
    content = [flat(record, equal) for record in records]
    keys = dict.fromkeys(key for each in content for key in each)
    found = {key: [each.get(key, UNSET) for each in content] for key in keys}
    varying = {key: values for key, values in found.items() if len(set(values)) > 1}
    groups = {group for record in records for group in record.choices} | {*LISTS}

    sweeps = [record.sweep for record in records] if SWEEP in without else []

    def follows(key: str, values: list[str]) -> bool:
        if sweeps and len(set(zip(sweeps, values, strict=True))) == len(set(sweeps)):
            return True
        for group in groups & varying.keys():
            node = (group.rpartition("@")[2] if "@" in group else group).replace("/", ".")
            pairs = set(zip(varying[group], values, strict=True))
            if key != group and key.startswith(f"{node}.") and len(pairs) == len(set(varying[group])):
                return True
        return False

    return {
        key: list(dict.fromkeys(values)) for key, values in varying.items() if key not in without and not follows(key, values)
    }


def _equal(records: Sequence[Record]) -> set[str]:
    """Top-level keys whose content is the same in all configurations: most of a sweep's, and quicker compared than walked."""
    first = records[0].config if records else {}
    return {key for key, node in first.items() if all(key in each.config and each.config[key] == node for each in records)}


def foreign(records: Sequence[Record], others: Sequence[Record]) -> dict[str, list[str]]:
    """Keys in which `others` have values that none of `records` has, with these values."""
    content = [flat(record) for record in records]
    found = {}
    for key in differing([*records, *others]):
        own = {each.get(key, UNSET) for each in content}
        values = dict.fromkeys(flat(other).get(key, UNSET) for other in others)
        if new := [each for each in values if each not in own]:
            found[key] = new
    return found


def keep(records: Sequence[Record], filters: Sequence[tuple[str, str]]) -> list[Record]:
    """The runs that have, for each (key, values), one of the values; several are separated by commas.

    Raises `Problem` for an unknown key and for a value that no run has.
    """
    left = list(records)
    for key, wanted in filters:
        values = labels(left, [key])
        alternatives = [wanted] if wanted in values else wanted.split(",")
        for each in alternatives:
            if not any(same(each, other) for other in values):
                raise Problem(f"--where {key}={each}: no run has this value. {nearest(each, values)}")
        left = [record for record, other in zip(left, values, strict=True) if any(same(each, other) for each in alternatives)]
    return left
