"""A digest of the code behind a number: some modules and all that they import, without what is only said of it.

What a file says (docstrings, comments, the texts of messages) and how it is laid out are no part of it, and neither are tables
of public names: a lazily loaded name leads to the module where it stands, not to all that its package offers.
"""

import ast
import hashlib
import json
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from xlearn.runtime.addresses import PACKAGE, definition, module_file, table
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import cache_root, write_text

# torch is in the machine's signature, by its version.
BY_VERSION = ("torch",)
# Where libraries are installed. What stands there is followed only from a component that stands there too.
INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
# Files whose syntax trees are remembered, the ones read last.
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
    """The digest of `modules` and of all that they import: xlearn's, the user's own, and of a library that a module of theirs
    is named of. Imports inside functions count, those under TYPE_CHECKING do not.
    """
    return digest({name: module.code for name, module in sorted(closure(*modules).items())})


class Module(NamedTuple):
    """`imports`: the names of all modules that it imports, the packages above them included."""

    code: str
    imports: tuple[str, ...]


def closure(*modules: str) -> dict[str, Module]:
    """Every module that counts."""
    tops = {module.partition(".")[0] for module in modules} - {*BY_VERSION}
    found: dict[str, Module] = {}
    waiting = [part for module in modules for part in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in found or top in BY_VERSION or (top not in tops and not _is_own(top)):
            continue
        # xlearn's own files are taken to stay as they are while it runs.
        module = _own_module(name) if top == PACKAGE.name else _module(name)
        if module is not None:
            found[name] = module
            waiting += module.imports
    _keep()
    return found


def _with_packages(module: str) -> list[str]:
    """A module and the packages above it, whose files run before it."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


@cache
def _is_own(top: str) -> bool:
    """Whether a package is xlearn or the user's own: neither Python's nor installed."""
    if top == PACKAGE.name:  # wherever it is installed
        return True
    file = module_file(top)
    return file is not None and not any(file.resolve().is_relative_to(folder) for folder in INSTALLED)


@cache
def _own_module(name: str) -> Module | None:
    return _module(name)


def _module(name: str) -> Module | None:
    """What is known of a module from its file; None where it has none (a name in a module, or compiled code)."""
    if (file := module_file(name)) is None:
        return None
    read = _read(file)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imports = {part for each in _imported_modules(read, package) for part in _with_packages(each)}
    return Module(read["code"], tuple(sorted(imports)))


def _imported_modules(read: dict[str, Any], package: str) -> Iterator[str]:
    """The modules that a file in `package` imports; of a package with public names, those where the names stand."""
    for level, base, names in read["imports"]:
        if level:
            above = package.split(".")[: len(package.split(".")) - level + 1]
            base = ".".join([*above, *([base] if base else [])])
        modules = [base] if not names else [_public(base).get(name, f"{base}.{name}") for name in names]
        yield from (base, *modules)
        for whole in modules:  # `import xlearn.objectives`, then `xlearn.objectives.Dann`
            yield from (module for name, module in _public(whole).items() if name in read["attributes"])


def _public(package: str) -> dict[str, str]:
    """As `exports`, from what is remembered of the package's file."""
    top = package.partition(".")[0]
    if top in BY_VERSION or not _is_own(top) or (file := module_file(package)) is None or file.name != "__init__.py":
        return {}
    return {name: f"{package}.{inside}" for name, inside in _read(file)["public"].items()}


def _read(file: Path) -> dict[str, Any]:
    """What a file imports and offers, and the digest of its code; remembered by its content."""
    content = file.read_bytes()
    key = hashlib.blake2b(content, digest_size=16).hexdigest()
    store = _store()
    read = store.pop(key, None)
    if read is None:
        read = _analysed(content)
        _new.append(key)
    store[key] = read  # the one read last stands last
    return read


# Keys that are not in the file of the store yet.
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


def _store_file() -> Path:
    """By the code that reads: what another version of it understood of a file is no use."""
    own = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=8).hexdigest()
    return cache_root() / "code" / f"{own}.json"


def _keep() -> None:
    """Write what was read for the first time, so that the next process need not parse it."""
    if _new:
        _new.clear()
        store = _store()
        for key in list(store)[:-MOST]:
            del store[key]
        try:
            write_text(_store_file(), json.dumps(store))
        except OSError:  # it only saves time
            return


def _analysed(content: bytes) -> dict[str, Any]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # whoever imports it will be told
        return {"code": hashlib.blake2b(content, digest_size=16).hexdigest(), "imports": [], "attributes": [], "public": {}}
    imports = list(_imported(tree))
    attributes = sorted({node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)})
    dumped = hashlib.blake2b(digest_size=16)
    for part in _dumped(tree):
        dumped.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return {"code": dumped.hexdigest(), "imports": imports, "attributes": attributes, "public": table(tree)}


def _imported(node: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """(leading dots, module, names taken from it or none) of every import."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for each in node.orelse:
            yield from _imported(each)
        return
    if isinstance(node, ast.Import):
        yield from ((0, each.name, []) for each in node.names)
    if isinstance(node, ast.ImportFrom):
        yield node.level, node.module or "", [each.name for each in node.names]
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def _dumped(node: Any, said: bool = False) -> Iterator[str]:
    """The syntax tree as text, the same in every version of Python. `said`: inside a message, whose texts are left out."""
    if isinstance(node, list):
        yield "["
        for each in node:
            if not _is_text(each) and not _is_table(each):
                yield from _dumped(each, said)
        yield "]"
    elif isinstance(node, ast.AST):
        if said and (isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))):
            return
        said = said or isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _is_message(node))
        if isinstance(node, ast.Call) and not said and _name(node) == "need":  # the collector's: what must hold, the message
            yield from _dumped([node.func, *node.args[:1]])
            yield from _dumped([*node.args[1:], *node.keywords], said=True)
            return
        yield type(node).__name__
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in ("ctx", "kind", "type_ignores"):
                yield name
                yield from _dumped(value, said)
    else:
        yield repr(node)


def _is_text(node: Any) -> bool:
    """Whether a statement is a docstring, of whatever it stands under."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_table(node: Any) -> bool:
    """Whether a statement sets names of Python's own (`__all__`, `__version__`, the table of public names)."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    names = [part for each in targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])]
    return bool(names) and all(isinstance(each, ast.Name) and each.id.startswith("__") for each in names)


def _is_message(call: ast.Call) -> bool:
    """Whether a call makes an error, or tells a warning."""
    name = _name(call)
    return name == "warn" or name.endswith(("Problem", "Problems", "Error"))


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
