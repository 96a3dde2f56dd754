"""One format per modality for all tasks of a run, learned from their training rows."""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xlearn.data.modalities import Format, Modality, Pool, fit_of, modality
from xlearn.data.modalities.audio import AudioSpec
from xlearn.data.modalities.image import ImageSpec
from xlearn.data.modalities.tabular import TabularSpec
from xlearn.data.modalities.text import TextSpec
from xlearn.data.task_source import TaskSource, modalities, raw, training_rows
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.memory import Kept

# What loaders call the modalities of xlearn. An encoder may have its own `format` instead (see `xlearn.data.modalities`).
MODALITIES: Mapping[str, type[Modality]] = {"audio": AudioSpec, "image": ImageSpec, "tabular": TabularSpec, "text": TextSpec}
# Kept for the next run in this process.
FORMATS = 16
_formats: Kept[Format] = Kept(FORMATS)


def formats(
    sources: Sequence[TaskSource],
    options: Mapping[str, Any],
    encoders: Mapping[str, partial[Any]],
    seed: int,
    unread: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> dict[str, Format]:
    """The form that each modality has in all tasks of a run. `options[modality]` are the settings of the configuration.

    Statistics (a vocabulary, means) are learned from all training rows, labelled or not, except those of the tasks in `unread`
    (by `where`). `only`: the modalities that are needed; None: all. Raises `Problem` for a modality without an encoder, and for
    data without a common form.
    """
    found = {}
    pools: dict[str, list[Pool]] = {}
    for source in sources:
        data, fingerprint = raw(source)
        train = training_rows(source, seed)
        for name in modalities(source) if only is None else only:
            if name not in encoders:
                others = [each for each in modalities(source) if each in encoders]
                instead = f", or {source.where}.modalities=[{','.join(others)}]" if others else ""
                raise Problem(
                    f"{source.where}: {source.name} has the modality {name!r}, and no encoder reads it. Choose one "
                    f"({'' if name in MODALITIES else '+'}encoder/{name}=...; `xlearn show encoder/{name}`){instead}."
                )
            there = data.present.get(name)
            rows = train if there is None else train[there[train]]
            rows = rows[:0] if source.where in unread else rows
            pools.setdefault(name, []).append(Pool(source.name, data, fingerprint, rows))
    for name, given in pools.items():
        encoder = encoders[name]
        fit, arguments = _fit(name, encoder)
        chosen = options.get(name) or {}
        learned_from = [[pool.name, pool.fingerprint, digest(pool.train.tolist(), 16)] for pool in given]
        key = digest([name, f"{fit.__module__}.{fit.__qualname__}", arguments, chosen, learned_from], 16)
        found[name] = _formats(key, partial(fit, given, chosen, **arguments))
    return found


def _fit(name: str, encoder: partial[Any]) -> tuple[Callable[..., Format], dict[str, Any]]:
    """As `fit_of`, for the modality of this name."""
    return fit_of(encoder, MODALITIES.get(name) or spec_of(encoder), name)


def own_formats(
    source: TaskSource, given: Mapping[str, Format], options: Mapping[str, Any], encoders: Mapping[str, partial[Any]], seed: int
) -> dict[str, Format]:
    """The forms of `given` that are learned from this task alone instead: those of its modalities whose form is a scaling, and
    differs. Other tasks of the run may be brought into them too.
    """
    scaled = [name for name in modalities(source) if modality(given[name].spec).scaling]
    if not scaled:
        return {}
    found = formats([source], options, encoders, seed, only=scaled)
    return {name: form for name, form in found.items() if form.spec != given[name].spec}


def shaped_by_others(
    source: TaskSource, others: Sequence[TaskSource], given: Mapping[str, Format], options: Mapping[str, Any],
    encoders: Mapping[str, partial[Any]], seed: int,
) -> list[str]:  # fmt: skip
    """The modalities of a task whose form would be another one without `others` (a learned vocabulary, the size of images),
    except scalings. A learned form counts without being learned again, because that may take long.
    """
    found = []
    for name in modalities(source):
        spec = modality(given[name].spec)
        if spec.scaling or not any(name in modalities(other) for other in others):
            continue
        # An encoder with a `format` of its own, such as a published tokeniser, may learn nothing.
        if spec.learned and _fit(name, encoders[name])[0] is type(spec).fit:
            found.append(name)
            continue
        if formats([source], options, encoders, seed, only=[name])[name].spec != given[name].spec:
            found.append(name)
    return found


def spec_of(encoder: partial[Any]) -> type | None:
    """The class of the specs that an encoder reads, by the annotation of its `spec`; None without one."""
    function = encoder.func.__init__ if inspect.isclass(encoder.func) else encoder.func
    wanted = typing.get_type_hints(function).get("spec")
    return wanted if isinstance(wanted, type) else None
