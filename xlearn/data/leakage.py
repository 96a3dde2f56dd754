"""The leak guard: no network may learn from the target's test examples, in this run or before a checkpoint."""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from xlearn.data.modalities import modality
from xlearn.data.provenance import Provenance
from xlearn.data.splits import Splits
from xlearn.data.task import Spec, Task
from xlearn.runtime.errors import Problem


def need_disjoint(sources: Iterable[Task], target: Task, measured: str = "the target", hidden: bool = False) -> None:
    """Raise `Problem` if a source made of the target's data trains on, or selects by, examples that measure the target; with
    `hidden` also if it has labels of examples that are unlabelled in the target.

    `measured`: the name of the target in the message.
    """
    for source in sources:
        for name in source.origin.keys() & target.origin.keys():
            here, there = target.origin[name], source.origin[name]
            # Unlabelled rows too: a vocabulary or means may come from them.
            used = there[torch.cat([source.train.rows, source.val.rows, source.unlabeled.rows])]
            learned = there[source.train.rows]
            known = there[torch.cat([source.train.rows, source.val.rows])]
            held_apart = [("test", target.test.examples, used), ("validation", target.val, learned)]
            held_apart += [("unlabelled", target.unlabeled, known)] if hidden else []
            for part, held, seen in held_apart:
                if count := int(torch.isin(here[held.rows], seen).sum()):
                    if part == "unlabelled":
                        raise Problem(
                            f"source {source.name} and {measured} are made of the same data, and the source knows the labels "
                            f"of {count} examples that are unlabelled in {measured}. Choose other classes or speakers, or "
                            "other data."
                        )
                    splits = "Give both the same draw, test, val, shots, folds and fold, or other classes, speakers or data."
                    if not len(target.training):
                        splits = (
                            "All examples of a target of episodes are measured: give both other classes (target.classes=[...], "
                            "target.without=[...]), speakers or seeds, or other data."
                        )
                    raise Problem(
                        f"source {source.name} and {measured} are made of the same data, and the source uses {count} {part} "
                        f"examples of {measured}. {splits}"
                    )


def need_unlearned(learned: Provenance, task: Task, measured: str) -> None:
    """Raise `Problem` if weights have learned from test examples of `task`. `measured`: its name in the message."""
    test, count = task.test.examples.rows, len(next(iter(task.content.values())))
    if seen := int(learned.matched(task.content, task.origin, count)[test].sum()):
        raise Problem(f"{learned.file} has learned from {seen} of the {len(test)} test examples of {measured}.")


def lends(task: Task, own: Container[str] = ()) -> bool:
    """Whether the run learned a common form from this task: a vocabulary, means, deviations. `own`: the modalities whose form
    was learned from the target alone.
    """
    return any(modality(spec).learned for name, spec in task.inputs.items() if name not in own)


def need_same_forms(path: str | None, specs: Mapping[str, Spec]) -> None:
    """Raise `Problem` if the earlier run at `path` read a modality in another form, because its weights depend on the form.

    Images may have another size: their network's shapes show whether it can read them.
    """
    file = Path(path or "").expanduser() / "result.json"
    if not path or not file.is_file():
        return
    before = json.loads(file.read_text(encoding="utf-8")).get("forms", {})
    for name, spec in specs.items():
        # As read from JSON, with lists for tuples.
        now = json.loads(json.dumps(asdict(spec)))
        if name in before and not modality(spec).any_size and before[name] != now:
            raise Problem(
                f"{path} read {name} in another form ({before[name]}, now {now}), and its weights fit no other. Name the "
                "same tasks as source and target (they determine the vocabulary or statistics), or use an encoder with a fixed "
                "form (encoder/text=minilm, encoder/audio=speech_embedding)."
            )


# The share of the measured rows that may be left out, because the weights of the run have learned from them by chance.
BY_CHANCE = 0.01


def without_learned(splits: Splits, learned: Tensor, file: str, name: str, whole: bool = False) -> Splits:
    """The splits without test rows that are `learned` (bool `[n]`). `whole`: all rows are measured, and no split has one of
    these. Raises `Problem` if these are more than a hundredth: the weights in `file` were trained on the same data.
    """
    measured = splits.parts() if whole else {"test": splits.test}
    rows = torch.cat([*measured.values()])
    out = rows[learned[rows]]
    if not len(out):
        return splits
    if len(out) > BY_CHANCE * len(rows):
        if whole:
            raise Problem(
                f"{file} has learned from {len(out)} of the {len(rows)} examples of the {name}, all of which are measured. Use "
                f"other weights, or other classes or data ({name}.classes, {name}.without)."
            )
        raise Problem(
            f"{file} has learned from {len(out)} of the {len(rows)} test examples of the {name}, whatever they were called "
            "then. Use the same draw (seed or target.draw), test, folds and fold as the run that made it, or other data."
        )
    left_out = torch.cat([splits.left_out, out]).sort().values
    parts = {**splits.parts(), **{part: index[~learned[index]] for part, index in measured.items()}}
    train, val, test, unlabeled = parts.values()
    return Splits(train, val, test, unlabeled, left_out, splits.moved, len(out))
