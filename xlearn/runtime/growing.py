"""A large column of the cache that is written while it is made: memory never holds it twice, nor all of it at once."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlearn.runtime.storage import cache_root, kept_as, write_atomically

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

# Bytes of the header of safetensors, with the 8 of its length; it is written last, because the number of rows is not known
# before.
HEADER = 4096
FILLING = "filling"
# numpy's names of types to those of safetensors, the widest first, so that every tensor begins at a multiple of its width.
TYPES = {"int64": "I64", "float32": "F32", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
ALIGNED = 8

Write = Callable[["numpy.ndarray"], None]


def kept_growing(
    key: str, name: str, kind: str, row: tuple[int, ...], make: "Callable[[Write], Mapping[str, Tensor]]"
) -> "dict[str, Tensor]":
    """As `xlearn.runtime.storage.kept`, with a column `name` `[n, *row]` of the numpy type `kind` that is written row by row.

    `make(write)` passes its rows, `[m, *row]` or a single `row`, to `write`, and returns the other tensors, which are small.
    """
    file = cache_root() / "data" / f"{key}.safetensors"
    return {
        each: tensor
        for each, tensor in kept_as(
            file, lambda: write_atomically(file, lambda temporary: _write(temporary, name, kind, row, make))
        ).items()
        if each != FILLING
    }


def _write(file: Path, name: str, kind: str, row: tuple[int, ...], make: "Callable[[Write], Mapping[str, Tensor]]") -> None:
    import numpy

    size = int(numpy.prod(row, dtype=numpy.int64)) * numpy.dtype(kind).itemsize
    header: dict[str, Any] = {}
    with file.open("wb") as stream:
        stream.write(bytes(HEADER))

        def write(values: "numpy.ndarray") -> None:
            stream.write(numpy.ascontiguousarray(values, dtype=kind).data)

        def place(each: str, shape: list[int], kind: str, begin: int) -> None:
            header[each] = {"dtype": TYPES[kind], "shape": shape, "data_offsets": [begin, stream.tell() - HEADER]}

        small = {each: tensor.numpy() for each, tensor in make(write).items()}
        place(name, [(stream.tell() - HEADER) // size, *row], kind, 0)
        if rest := -stream.tell() % ALIGNED:
            begin = stream.tell() - HEADER
            stream.write(bytes(rest))
            place(FILLING, [rest], "uint8", begin)
        for each, values in sorted(small.items(), key=lambda item: -item[1].itemsize):
            begin = stream.tell() - HEADER
            stream.write(numpy.ascontiguousarray(values).tobytes())
            place(each, [*values.shape], str(values.dtype), begin)
        written = json.dumps(header).encode()
        assert len(written) <= HEADER - 8
        stream.seek(0)
        stream.write((HEADER - 8).to_bytes(8, "little") + written.ljust(HEADER - 8))
