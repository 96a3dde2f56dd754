"""One format per modality for all tasks of a run, learned from their training rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xlearn.data.modalities import Format, Pool, audio, image, tabular, text
from xlearn.data.prepare import TaskSource, modalities, raw
from xlearn.data.splits import split
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest

# The `fit` of each modality; an encoder may have its own `format` instead (see `xlearn.data.modalities`).
FITS: Mapping[str, Callable[..., Format]] = {"audio": audio.fit, "image": image.fit, "tabular": tabular.fit, "text": text.fit}
# Kept for the next job of a sweep.
_formats: dict[str, Format] = {}


def formats(
    sources: Sequence[TaskSource],
    options: Mapping[str, Any],
    encoders: Mapping[str, partial[Any]],
    seed: int,
    unread: Sequence[str] = (),
) -> dict[str, Format]:
    """The form that each modality has in all tasks of a run. `options[modality]` are the settings of the configuration.

    Statistics (a vocabulary, means) are learned from all training rows, labelled or not, except those of the tasks in `unread`
    (by `where`). Raises `Problem` for a modality without an encoder, and for data without a common form.
    """
    found = {}
    pools: dict[str, list[Pool]] = {}
    for source in sources:
        data, fingerprint = raw(source)
        train = split(data, replace(source.options, shots=None, fraction=None, imbalance=None), seed, source.where).train
        for name in modalities(source):
            if name not in encoders:
                others = [each for each in modalities(source) if each in encoders]
                instead = f", or {source.where}.modalities=[{','.join(others)}]" if others else ""
                raise Problem(
                    f"{source.where}: {source.name} has the modality {name!r}, and no encoder reads it. Choose one "
                    f"(encoder/{name}=...; `xlearn show encoder/{name}`){instead}."
                )
            there = data.present.get(name)
            rows = train if there is None else train[there[train]]
            rows = rows[:0] if source.where in unread else rows
            pools.setdefault(name, []).append(Pool(source.name, data, fingerprint, rows))
    for name, given in pools.items():
        encoder = encoders[name]
        if (own := getattr(encoder.func, "format", None)) is not None:
            fit, arguments = own, encoder.keywords
        elif name in FITS:
            fit, arguments = FITS[name], {}
        else:
            raise Problem(f"encoder.{name}: xlearn has no form for this modality. Give {encoder.func.__name__} a `format`.")
        chosen = options.get(name) or {}
        learned_from = [[pool.name, pool.fingerprint, digest(pool.train.tolist(), 16)] for pool in given]
        key = digest([name, f"{fit.__module__}.{fit.__qualname__}", arguments, chosen, learned_from], 16)
        if key not in _formats:
            _formats[key] = fit(given, chosen, **arguments)
        found[name] = _formats[key]
    return found
