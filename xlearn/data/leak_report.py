"""What the data of a run have in common: copies within a task and between tasks, and on which sides of the splits they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from xlearn.data import copies as copied
from xlearn.data.copies import Copies, contradicted
from xlearn.data.following import Followed, equal_rows
from xlearn.data.near_pictures import pairs
from xlearn.data.sides import LEFT_OUT, READ, TRAIN
from xlearn.data.task_source import TaskSource, copies, followed, modalities, raw
from xlearn.data.tasks import TEST, VAL, Raw
from xlearn.runtime.memory import Kept

# Sides of the splits, in words.
WORDS = {READ: "unlabelled training", TRAIN: "training", VAL: "validation", TEST: "test", LEFT_OUT: "left out"}
SHOWN = 3
ALIKE = "near copies, or alike by chance: look at them"

_near: Kept[Tensor] = Kept()


@dataclass(frozen=True)
class Finding:
    """`text`: a sentence with its count. `examples`: some of the rows, by name. `leaks`: whether the run would be measured on
    rows that it learns from.
    """

    text: str
    examples: tuple[str, ...] = ()
    leaks: bool = False


def within(source: TaskSource, seed: int) -> Iterator[Finding]:
    """Of one task: copies, contradictions, near copies of pictures on two sides, and whether owners are known."""
    data, _ = raw(source)
    found, sides = copies(source), followed(source, seed).side
    repeats = found.repeats
    if count := int(repeats.sum()):
        torn = _two_sides(found, sides)
        kept = {
            copied.TOGETHER: "kept on one side of every split",
            copied.DROP: "left out",
            copied.KEEP: f"{torn} of them on another side of the split than their original",
        }[source.options.duplicates]
        sets = [(found.first == first).nonzero().flatten()[:SHOWN] for first in found.first[repeats].unique()[:SHOWN]]
        examples = tuple(" = ".join(name_of(data, int(row)) for row in each) for each in sets)
        text = f"{count} examples are copies of others: {kept} (duplicates={source.options.duplicates})"
        yield Finding(text, examples, torn > 0)
        if torn_labels := contradicted(data, found.first).nonzero().flatten().tolist():
            examples = tuple(f"{name_of(data, row)}: {data.groups[int(data.strata[row])]}" for row in torn_labels[: 2 * SHOWN])
            yield Finding(f"{len(torn_labels)} examples have an equal input with another label", examples)
    if data.owner is None and "split_by" in source.arguments:
        yield Finding("no split_by: whether examples are of one person, session or document is not known")
    if len(near := near_within(source, seed)):
        shown = tuple(f"{name_of(data, one)} ~ {name_of(data, other)}" for one, other in near[:SHOWN].tolist())
        yield Finding(f"{len(near)} pairs of pictures are on two sides of the split, and look alike ({ALIKE})", shown)


def between(source: TaskSource, earlier: TaskSource, seed: int) -> Iterator[Finding]:
    """Of two tasks, of which `source` follows `earlier`: rows in common, and near copies of its test pictures."""
    (data, _), (other, _) = raw(source), raw(earlier)
    mine, theirs = followed(source, seed), followed(earlier, seed)
    if len(equal := equal_rows(mine, theirs)):
        of_others = theirs.side[equal[:, 1]]
        where = {side: int((of_others == side).sum()) for side in WORDS}
        counts = ", ".join(f"{count} in its {WORDS[side]} split" for side, count in where.items() if count)
        leaking = int((_learned(mine.side[equal[:, 0]]) & (of_others == TEST)).sum())
        kept = f"{leaking or 'none'} of them {'are' if leaking > 1 else 'is'} learned from here and measured there"
        shown = tuple(f"{name_of(data, one)} = {name_of(other, two)}" for one, two in equal[:SHOWN].tolist())
        yield Finding(
            f"{len(equal)} examples are in {earlier.where} ({earlier.name}) too: {counts}; {kept}", shown, leaking > 0
        )
    if len(near := near_between(source, earlier, seed)):
        shown = tuple(f"{name_of(data, one)} ~ {name_of(other, two)}" for one, two in near[:SHOWN].tolist())
        yield Finding(f"{len(near)} training pictures and test pictures of {earlier.where} look alike ({ALIKE})", shown)


def near_within(source: TaskSource, seed: int) -> Tensor:
    """int64 `[m, 2]`: pairs of pictures that look alike, on two sides of the splits; without copies by content."""
    own = followed(source, seed)
    near = _pairs(source, None, own, own)
    return near[_crosses(own.side[near[:, 0]], own.side[near[:, 1]])]


def near_between(source: TaskSource, earlier: TaskSource, seed: int) -> Tensor:
    """int64 `[m, 2]`: a training or validation picture of `source` and a test picture of `earlier` that look alike."""
    mine, theirs = followed(source, seed), followed(earlier, seed)
    near = _pairs(source, earlier, mine, theirs)
    return near[_learned(mine.side[near[:, 0]]) & (theirs.side[near[:, 1]] == TEST)]


def near_notes(source: TaskSource, seed: int) -> dict[str, Any]:
    """Notes for the summary: the numbers of such pairs, where there are any."""
    counts = {
        "near_copies": len(near_within(source, seed)),
        "near_copies_of_test": sum(len(near_between(source, earlier, seed)) for earlier in source.follows),
    }
    return {name: count for name, count in counts.items() if count}


def name_of(data: Raw, row: int) -> str:
    """The name of a row, for people."""
    return data.names[row] if data.names else f"row {row}"


def _pairs(source: TaskSource, earlier: TaskSource | None, mine: Followed, theirs: Followed) -> Tensor:
    """All pairs of near copies that are no copies by content, which are counted as such."""
    (data, fingerprint), (other, their_fingerprint) = raw(source), raw(earlier or source)
    common = data.near.keys() & other.near.keys() & {*modalities(source)} & {*modalities(earlier or source)}
    for name in sorted(common):
        key = (fingerprint, their_fingerprint if earlier else "", name)
        near = _near(key, lambda name=name: pairs(data.near[name], other.near[name] if earlier else None))
        return near[mine.digests[name][near[:, 0]] != theirs.digests[name][near[:, 1]]]
    return data.labels.new_zeros(0, 2).long()


def _two_sides(found: Copies, sides: Tensor) -> int:
    """The number of copies that are on another side of the splits than the first row of the same content."""
    return int(_crosses(sides, sides[found.first]).sum())


def _learned(side: Tensor) -> Tensor:
    return (side >= READ) & (side <= VAL)


def _crosses(one: Tensor, other: Tensor) -> Tensor:
    """bool `[n]`: whether two sides are different ones of training, validation and test."""
    used = (one >= READ) & (one <= TEST) & (other >= READ) & (other <= TEST)
    return used & (one.clamp_min(TRAIN) != other.clamp_min(TRAIN))
