"""A digest of the code behind a result: of some modules and of all that they import.

Docstrings, comments, the texts of messages and the layout of a file are not part of it. Tables of public names are not either:
a lazily loaded name leads to the module that defines it, not to everything that its package offers.
"""

import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from xlearn.runtime.addresses import PACKAGE, definition, module_file, module_places
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import cache_root, write_text
from xlearn.runtime.syntax import Source, analysed

# torch is in the machine's signature, by its version.
BY_VERSION = ("torch",)
# Folders of installed libraries. Their modules are followed only from a component of the same library.
INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
# The number of files with stored analyses, those used last.
MOST = 4000


def behind(node: Any) -> set[str]:
    """The modules of the components that a configuration or a document names as `_target_`."""
    if isinstance(node, dict):
        own = {definition(node["_target_"])[0]} if isinstance(node.get("_target_"), str) else set()
        return own.union(*map(behind, node.values()))
    if isinstance(node, list | tuple):
        return set().union(*map(behind, node))
    return set()


def code_digest(*modules: str) -> str:
    """The digest of `modules` and of all that they import: from xlearn, from the user's own code, and from the libraries that
    `modules` themselves belong to. Imports inside functions count, those under TYPE_CHECKING do not.
    """
    modules = tuple(sorted({*modules}))
    if (known := _digests.get(modules)) is not None:
        return known
    found = closure(*modules)
    made = digest({name: module.code for name, module in sorted(found.items())})
    if all(name.partition(".")[0] == PACKAGE.name for name in found):
        _digests[modules] = made
    return made


# Of modules that import no file of the user's: xlearn's own files are assumed not to change while it runs.
_digests: dict[tuple[str, ...], str] = {}


class Module(NamedTuple):
    """`imports`: the names of all modules that it imports, the packages above them included."""

    code: str
    imports: tuple[str, ...]


def closure(*modules: str) -> dict[str, Module]:
    """Every module that counts, by name. Raises `Problem` for a file of the user that changed after it was imported."""
    tops = {module.partition(".")[0] for module in modules} - {*BY_VERSION}
    found: dict[str, Module] = {}
    waiting = [part for module in modules for part in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in found or top in BY_VERSION or (top not in tops and not _is_own(top)):
            continue
        module = _own_module(name) if top == PACKAGE.name else _module(name)
        if module is not None:
            found[name] = module
            waiting += module.imports
    _keep()
    return found


def _with_packages(module: str) -> list[str]:
    """A module and the packages above it, which are imported before it."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


# By package, whether it is xlearn or the user's own, neither Python's nor installed. Missing packages may still appear.
_owned = {PACKAGE.name: True}  # wherever it is installed


def _is_own(top: str) -> bool:
    if top not in _owned and (places := module_places(top)):
        _owned[top] = not any(_is_installed(place) for place in places)
    return _owned.get(top, False)


def _is_installed(place: Path) -> bool:
    """Whether a file or folder is Python's own, or lies where an installer put it."""
    if {"site-packages", "dist-packages"} & {*place.parts, *place.resolve().parts}:
        return True
    folder = place.parent
    return any(place.resolve().is_relative_to(each) for each in INSTALLED) or any(folder.glob("*.dist-info"))


@cache
def _own_module(name: str) -> Module | None:
    return _module(name)


# By imported module of the user: the key of its file's content at that time.
_imported: dict[str, str] = {}


def _module(name: str) -> Module | None:
    """The code and imports of a module's file. None without a file (a name in a module, or compiled code), and for a module
    that determines no numbers.
    """
    if (file := module_file(name)) is None:
        return None
    read, content = _read(file)
    if name in sys.modules and file.suffix == ".py" and _imported.setdefault(name, content) != content:
        raise Problem(
            f"{file} changed after this process imported it, so that its old version would run. Start again "
            "(in a notebook: restart the kernel)."
        )
    if not read["determines"]:
        return None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imports = {part for each in _imported_modules(read, package) for part in _with_packages(each)}
    return Module(read["code"], tuple(sorted(imports)))


def _imported_modules(read: Source, package: str) -> Iterator[str]:
    """The modules that a file in `package` imports. A public name of a package leads to the module that defines it."""
    for level, base, names in read["imports"]:
        if level:
            above = package.split(".")[: len(package.split(".")) - level + 1]
            base = ".".join([*above, *([base] if base else [])])
        modules = [base] if not names else [_public(base).get(name, f"{base}.{name}") for name in names]
        yield from (base, *modules)
        for whole in modules:
            yield from _taken(whole, read["attributes"])


def _taken(package: str, attributes: Sequence[str]) -> Iterator[str]:
    """After `import package`: the modules behind `package.name` and `package.part.name`, for all attribute names of a file."""
    if not _is_followed(package) or (file := module_file(package)) is None or file.name != "__init__.py":
        return
    public = _public(package)
    for name in attributes:
        if name in public:
            yield public[name]
        elif module_file(f"{package}.{name}") is not None:
            yield f"{package}.{name}"
            yield from _taken(f"{package}.{name}", attributes)


def _is_followed(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in BY_VERSION and _is_own(top)


def _public(package: str) -> dict[str, str]:
    """As `exports`, from the stored analysis of the package's file."""
    if not _is_followed(package) or (file := module_file(package)) is None or file.name != "__init__.py":
        return {}
    return {name: f"{package}.{inside}" for name, inside in _read(file)[0]["public"].items()}


def _read(file: Path) -> tuple[Source, str]:
    """(the analysis of a file, its key in the store). The store is addressed by the file's content."""
    content = file.read_bytes()
    ours = file.is_relative_to(PACKAGE)
    key = f"{hashlib.blake2b(content, digest_size=16).hexdigest()}{'' if ours else '-own'}"
    store = _store()
    read = store.pop(key, None)
    if read is None:
        read = analysed(content, ours)
        _new.append(key)
    store[key] = read  # sorted by last use
    return read, key


# Keys that are not saved yet.
_new: list[str] = []


@cache
def _stored(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _store() -> dict[str, Any]:
    return _stored(_store_file())


@cache
def _store_file_name() -> str:
    """Named after the code that analyses files, because another version may analyse them differently."""
    read = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("syntax.py", "addresses.py"))
    return f"{hashlib.blake2b(read, digest_size=8).hexdigest()}.json"


def _store_file() -> Path:
    return cache_root() / "code" / _store_file_name()


def _keep() -> None:
    """Save new analyses, so that the next process need not parse the files."""
    if _new:
        _new.clear()
        store = _store()
        for key in list(store)[:-MOST]:
            del store[key]
        try:
            write_text(_store_file(), json.dumps(store))
        except OSError:  # it only saves time
            return
