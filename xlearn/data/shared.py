"""Large columns lie in memory once, however many processes of a sweep read them."""

from dataclasses import replace

from torch import Tensor

from xlearn.data.columns import Column, Ragged
from xlearn.data.tasks import Raw, RawColumn
from xlearn.runtime.storage import is_mapped, kept

# Bytes from which on a column is shared: the small ones are not worth a file.
LARGE = 8 * 2**20


def shared_raw(data: Raw, fingerprint: str) -> Raw:
    """The same data, its large columns as views of files in the cache. `fingerprint` identifies their content."""

    def each(name: str, column: RawColumn) -> RawColumn:
        return column if isinstance(column, list) else shared(column, f"raw-{fingerprint}-{name}", computed=False)

    return replace(data, inputs={name: each(name, column) for name, column in data.inputs.items()})


def shared(column: Column, key: str, computed: bool) -> Column:
    """The same column as a view of a file in the cache, if it is large and no such view. `key` identifies its content;
    `computed`: see `xlearn.runtime.storage.kept`.
    """
    parts = {"values": column} if isinstance(column, Tensor) else {"values": column.values, "offsets": column.offsets}
    if parts["values"].nbytes < LARGE or is_mapped(parts["values"]):
        return column
    found = kept(key, lambda: parts, computed)
    return Ragged(found["values"], found["offsets"]) if "offsets" in found else found["values"]
