"""Names of earlier versions and what they became: keys of the configuration, addresses of components, imports.

With `xlearn.config.moved` one table. A configuration with an old key or address is refused with a sentence that names the new
one. Results of earlier versions are read with it, and `docs/migration.md` is generated from it (`scripts/pages.py`).
"""

import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from xlearn.config.moved import MOVED, NAMES, RENAMED
from xlearn.runtime.addresses import exports, public

# An entry of this table changes no result.
DETERMINES_NUMBERS = False

# Keys of a phase (`transfer.phases.NAME.KEY`).
KEYS = {
    "leaves": "merge", "taught_by": "teachers", "begins": "start_from",
    "batch_size": "batches.batch_size", "episodes": "batches",
}  # fmt: skip

# Keys of a chain (`transfer.KEY`).
CHAIN_KEYS = {"episodes": "measuring"}

# How the value of a key is written now, where it is not the same.
_WRITTEN = {
    "taught_by": ", a list: teachers=[source]",
    "begins": ": start_from=start",
    "batch_size": ": batches: {batch_size: 32} in a file, +transfer.phases.NAME.batches.batch_size=32 on the command line",
    "episodes": ": batches.ways=5, in a phase that learns episodes (batches@phases.NAME.batches: episodes)",
    "measuring": ": give the option episodes in the file's defaults (/measuring@measuring: episodes)",
}

# Words of earlier versions for what a phase reads, and the views that they name.
READS = {
    "source": ("source",), "target": ("target",), "both": ("source", "target"),
    "unlabeled": ("target", "target.unlabeled"), "everything": ("source", "target", "target.unlabeled"),
    "inputs": ("source.inputs", "target.inputs"),
}  # fmt: skip

# Methods of objectives and base learners: old name -> new name.
METHODS = {"told": "log", "turns": "extra_updates"}


@cache
def addresses() -> dict[str, str]:
    """Old address -> new address of modules, classes and functions, the most specific first."""
    moved = {
        f"{package}.{name}": f"{package}.{room}.{name}"
        for package, rooms in MOVED.items()
        for room, names in rooms.items()
        for name in names.split()
    }
    return {**NAMES, **RENAMED, **moved}


def renamed(address: str) -> str | None:
    """The present address of what an earlier version had at `address` (a module, or a name in it); None if it did not move.

    A component's address is its public one, without the module that defines it.
    """
    package, _, name = address.rpartition(".")
    if name in exports(package):
        return None
    moved = _moved(address)
    return public(moved or address) or moved


def _moved(address: str) -> str | None:
    """The same without public addresses.

    Some old modules have the names of new subpackages (`xlearn.phases`): an address in a present module did not move.
    """
    parts = address.split(".")
    for count in range(len(parts), 1, -1):
        if _is_module(parts[: count + 1]):
            return None
        if (new := addresses().get(".".join(parts[:count]))) is not None:
            return ".".join([new, *parts[count:]])
    return None


def _is_module(parts: list[str]) -> bool:
    """Whether a present module has this address; modules of a subpackage, not the subpackage itself."""
    path = Path(__file__).parents[1].joinpath(*parts[1:])
    return len(parts) > 2 and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file())


def sentence(error: ImportError) -> str | None:
    """A sentence with the new address, for a failed import of an old name; None for another import error."""
    module = error.name or ""
    name = re.match(r"cannot import name '(\w+)'", str(error))
    old = f"{module}.{name.group(1)}" if name else module
    moved = {old: new} if (new := renamed(old) if name else _moved(old)) else {}
    moved |= {} if name else {each: new for each, new in NAMES.items() if each.rpartition(".")[0] == module}
    # Modules of functions are private now: only their public name can be imported.
    within, _, last = (moved.get(module) or module).rpartition(".")
    if not name and last in exports(within):
        moved = {f"{module}.{last}": f"{within}.{last}"}
    return f"{'; '.join(f'{each} is {new} now' for each, new in moved.items())} (docs/migration.md)." if moved else None


def renamed_key(key: str, chain: bool = False) -> str | None:
    """A sentence for a key of an earlier version, of a phase or of a `chain`; None for any other key."""
    new = (CHAIN_KEYS if chain else KEYS).get(key)
    if new is None:
        return None
    return f"it is called {new} now{_WRITTEN.get(new if chain else key, '')} (docs/migration.md)."


def old_methods(target: Any) -> list[str]:
    """A sentence for every old name of a method in an objective or base learner, unless its class has both names."""
    classes = inspect.getmro(target) if inspect.isclass(target) else ()

    def place(name: str) -> int:
        """The position in the method resolution order of the class that defines a method."""
        return next((number for number, each in enumerate(classes) if name in vars(each)), len(classes))

    found = {old: new for old, new in METHODS.items() if place(old) < place(new)}
    return [f"its method {old}() is called {new}() now (docs/migration.md)." for old, new in found.items()]
