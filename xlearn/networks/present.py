"""Examples that have a modality: only these are encoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.columns import Inputs, Sequences
from xlearn.data.task import Batch, Examples


def readable(batch: Batch, name: str) -> tuple[Inputs, Tensor | None]:
    """The inputs of the examples that have the modality, and their positions, `int64 [m]` (None: all of them).

    Sequences are cut to the longest of these examples, so that nothing depends on the values in the place of a missing one.
    """
    given, present = batch.inputs[name], batch.present.get(name)
    if present is None or bool(present.all()):
        return given, None
    rows = present.nonzero().flatten()
    if not isinstance(given, Sequences):
        return given.index_select(0, rows), rows
    values, mask = given.values.index_select(0, rows), given.mask.index_select(0, rows)
    longest = max(int(mask.sum(1).max()), 1) if len(rows) else 1
    return Sequences(values[:, :longest], mask[:, :longest]), rows


def encoded(network: Any, batch: Batch, name: str) -> tuple[Tensor, Tensor | None]:
    """The tokens of a modality and their mask, computed by its encoder from the examples that have it, zeros for the others.

    Where all have it, the encoder reads the batch as it is. Where none has it, the encoder is not called, and there is one
    token under a False mask. Where one has it, batch normalisation has no batch: it uses its running statistics.
    """
    given, rows = readable(batch, name)
    if rows is None:
        return network.encoder[name](given)
    count = len(batch.present[name])
    if not len(rows):
        return torch.zeros(count, 1, network.encoder[name].width, device=rows.device), rows.new_zeros(count, 1).bool()
    with _running_for_one(network, rows):
        values, mask = network.encoder[name](given)
    return in_place(values, rows, count), None if mask is None else in_place(mask, rows, count)


def masked(values: Tensor, mask: Tensor | None, present: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Tokens `[batch, length, width]` and their mask, which is False too where an example lacks the modality."""
    if present is None:
        return values, mask
    there = present[:, None].expand(-1, values.shape[1])
    return values, there if mask is None else mask & there


def in_place(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """`[count, ...]`: `values [m, ...]` at the positions `rows int64 [m]`, zeros (False) elsewhere."""
    return values.new_zeros(count, *values.shape[1:]).index_copy(0, rows, values)


def with_modality(given: Batch | Examples, path: str | None) -> Tensor | None:
    """Which examples have the modality of the encoder that the module at `path` belongs to, `bool [n]`; None: all."""
    return given.present.get(path.split(".")[1]) if path is not None and path.startswith("encoder.") else None


def having(examples: Examples, index: Tensor) -> list[Tensor]:
    """Of the examples at `index`, those with each modality of which some lack it: examples that call every encoder. Without a
    missing modality, `index` itself.
    """
    lacking = [there[index] for there in examples.present.values() if not bool(there.all())]
    return [index[there] for there in lacking if bool(there.any())] + ([] if lacking else [index])


@contextmanager
def _running_for_one(network: nn.Module, rows: Tensor) -> Iterator[None]:
    """Within, if there is a single row and the network trains, batch normalisations use their running statistics, which stay
    unchanged. Private copies of the encoder are among them, because they are modules of the network too.
    """
    single = network.training and len(rows) == 1
    found = [each for each in network.modules() if _uses_batch(each)] if single else []
    for module in found:
        module.eval()
    try:
        yield
    finally:
        for module in found:
            module.train()


def _uses_batch(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and module.track_running_stats
