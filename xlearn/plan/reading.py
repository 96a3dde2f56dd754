"""How data are to be read for the run's encoders: arguments of loaders that are left open."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from xlearn.data.formats import MODALITIES, spec_of
from xlearn.data.modalities import reads_of
from xlearn.data.task_source import TaskSource

# The note of a task that is read smaller than an encoder wants it, and enlarged again.
ENLARGED = "enlarged"


def read_for(source: TaskSource, encoders: Mapping[str, partial[Any]], options: Mapping[str, Any]) -> TaskSource:
    """The task with values for the arguments of its loader that are null, and whose default is null: what the settings of a
    modality say (`Modality.reads`, `options[modality]`), else what its encoder says.

    An encoder says it by a static method `reads(**arguments)`, which gets the encoder's arguments: `{"size": 96}`. A note names
    the arguments that are smaller, because such data are enlarged again.
    """
    if not isinstance(source.load, partial):  # its configuration is wrong
        return source
    parameters = inspect.signature(source.load.func).parameters
    open_ones = {name for name in source.arguments if name in parameters and parameters[name].default is None}
    filled: dict[str, Any] = {}
    notes = []
    for modality, encoder in encoders.items():
        wanted, names = reads_of(encoder, MODALITIES.get(modality) or spec_of(encoder))
        chosen = options.get(modality) or {}
        for name in sorted({*wanted, *names} & open_ones):
            value = source.arguments[name]
            if value is None:
                first = chosen.get(name) if name in names else None
                value = wanted.get(name) if first is None else first
                filled |= {} if value is None else {name: value}
            if value is not None and name in wanted and value < wanted[name]:
                notes.append(f"{name} {value} to {wanted[name]}")
    if filled:
        load = partial(source.load, **filled)
        vars(load).update(vars(source.load))
        source = replace(source, load=load, arguments={**source.arguments, **filled})
    return replace(source, notes={ENLARGED: notes}) if notes else source
