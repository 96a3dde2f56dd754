"""From a loader to a `Task`: load once per process, adapt images, split, remap labels."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.errors import Problem
from xlearn.hashing import digest
from xlearn.splits import chosen_classes, split
from xlearn.task import Examples, ImageSpec, LabelSpace, Sealed, Task, need_examples
from xlearn.task_options import TaskOptions
from xlearn.tasks import Raw


@dataclass(frozen=True)
class TaskSource:
    """A task still to be loaded: its name in the configuration (for messages), its loader and its options."""

    name: str
    where: str
    load: Callable[[], Raw]
    arguments: dict[str, Any]
    options: TaskOptions


# A sweep's jobs run in one process: the raw data and their resized form are kept for the next job.
_loaded: dict[str, tuple[Raw, str]] = {}
_adapted: dict[tuple[str, ImageSpec], Tensor] = {}


def raw(source: TaskSource) -> tuple[Raw, str]:
    """The raw data of a task and their fingerprint (blake2b of every column, label and class name)."""
    key = json.dumps([source.name, source.arguments], sort_keys=True, default=str)
    if key not in _loaded:
        data = source.load()
        for position, classname in enumerate(data.classes):
            if not bool((data.labels == position).any()):
                raise Problem(f"{source.where}: class {classname!r} of {source.name} has no example. Remove it.")
        _loaded[key] = (data, _fingerprint(data))
    return _loaded[key]


def _fingerprint(data: Raw) -> str:
    digest = hashlib.blake2b(json.dumps([data.classes, data.space]).encode(), digest_size=16)
    columns = [*(data.inputs[name] for name in sorted(data.inputs)), data.labels]
    for column in [*columns, *([] if data.official is None else [data.official])]:
        digest.update(str(tuple(column.shape)).encode())
        digest.update(column.contiguous().numpy().data)
    return digest.hexdigest()


def common_spec(sources: Sequence[TaskSource], size: int | None, channels: int | None) -> ImageSpec:
    """One image format for all tasks: the largest height, width and number of channels, or what is given."""
    shapes = [raw(source)[0].inputs["image"].shape[1:] for source in sources]
    highest = [max(sides) for sides in zip(*shapes, strict=True)]
    return ImageSpec(channels or highest[0], size or highest[1], size or highest[2])


def adapt(images: Tensor, spec: ImageSpec) -> Tensor:
    """uint8 images in the format of `spec`: bilinear with antialiasing; grey is repeated, colour becomes luma."""
    if images.shape[1] == 3 and spec.channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # ITU-R 601
        images = torch.cat([(part.float() * luma).sum(1, keepdim=True).round().byte() for part in images.split(4096)])
    elif images.shape[1] == 1 and spec.channels == 3:
        images = images.expand(-1, 3, -1, -1)
    elif images.shape[1] != spec.channels:
        raise Problem(f"image.channels={spec.channels}: images have {images.shape[1]} channels. Give 1 or 3, or null.")
    side = (spec.height, spec.width)
    if images.shape[2:] == side:
        return images.contiguous()
    parts = [
        functional.interpolate(part.contiguous(), side, mode="bilinear", align_corners=False, antialias=True)
        for part in images.split(4096)
    ]
    return torch.cat(parts)


def prepare(source: TaskSource, spec: ImageSpec, seed: int) -> Task:
    """Load, adapt and split one task. The same arguments give the same rows, whatever the method."""
    data, fingerprint = raw(source)
    if (fingerprint, spec) not in _adapted:
        _adapted[fingerprint, spec] = adapt(data.inputs["image"], spec)
    classes = chosen_classes(data, source.options, source.where)
    rows = split(data, source.options, seed, source.where)
    relabel = torch.full((len(data.classes),), -1)
    relabel[torch.tensor(classes)] = torch.arange(len(classes))
    space = LabelSpace(data.space, tuple(data.classes[position] for position in classes))
    whole = Examples({"image": _adapted[fingerprint, spec]}, relabel[data.labels], torch.arange(len(data.labels)), space)
    parts = {part: whole.subset(index) for part, index in vars(rows).items()}
    counts = {part: len(examples) for part, examples in parts.items()}
    held = {"seed": seed, **{key: getattr(source.options, key) for key in ("test", "folds", "fold")}}
    notes = {"examples": counts, "split": held, **data.notes}
    task = Task(
        name=source.name,
        inputs={"image": spec},
        labels=space,
        train=parts["train"],
        val=parts["val"],
        unlabeled=parts["unlabeled"],
        test=Sealed(source.name, parts["test"]),
        data=fingerprint,
        # The rows of all splits follow from the data, the options and the seed.
        fingerprint=digest([fingerprint, asdict(source.options), asdict(spec), seed], 16),
        notes=notes,
    )
    need_examples(task)
    return task


def need_apart(sources: Mapping[str, Task], target: Task) -> None:
    """Raise where a source made of the target's own data would learn, or select, from what the target is measured on."""
    for source in sources.values():
        if source.data != target.data:
            continue
        used = torch.cat([source.train.rows, source.val.rows])
        for part, held, seen in (("test", target.test.examples, used), ("validation", target.val, source.train.rows)):
            if count := int(torch.isin(held.rows, seen).sum()):
                raise Problem(
                    f"source {source.name} and the target are the same data, and the source uses {count} {part} examples of "
                    "the target. Give both the same test, val, shots, folds and fold, or other classes."
                )


def need_same_splits(path: str | None, target: Task) -> None:
    """Raise where the weights of an earlier run were made of the target's data, split in another way."""
    file = Path(path or "").expanduser() / "result.json"
    if not path or not file.is_file():
        return
    for task in json.loads(file.read_text(encoding="utf-8"))["data"].values():
        if task["data"] == target.data and task["split"] != target.notes["split"]:
            raise Problem(
                f"{path} was made of the same data as the target, with other splits ({task['split']}, now "
                f"{target.notes['split']}): it may have learned from test examples. Use the same seed, test, folds and fold."
            )


def tiny(task: Task, per_class: int = 2) -> Task:
    """The same task with at most `per_class` examples of each class in every split."""

    def few(examples: Examples) -> Examples:
        rows = [torch.nonzero(examples.labels == label).flatten()[:per_class] for label in range(len(task.labels.classes))]
        return examples.subset(torch.cat(rows))

    return replace(
        task,
        train=few(task.train),
        val=few(task.val),
        unlabeled=few(task.unlabeled),
        test=Sealed(task.name, few(task.test.examples)),
    )
