"""Finds the file of a dotted path by file names and tables of public names, without importing anything."""

import ast
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def module_file(module: str) -> Path | None:
    """The file of a module, or of a package its `__init__.py`; None where there is none."""
    _, *below = module.split(".")
    for place in module_places(module.partition(".")[0]):
        path = place.joinpath(*below)
        found = [path.with_suffix(".py"), path / "__init__.py"] if below else [path / "__init__.py"]
        for file in [place] if place.suffix == ".py" and not below else found if place.suffix != ".py" else ():
            if file.is_file():
                return file
    return None


def module_places(top: str) -> list[Path]:
    """The folders of a package (several if it has no `__init__.py`), or the file of a module that is not a package.

    `find_spec` of a dotted name would import the packages above it, so only the top is looked up.
    """
    if top == PACKAGE.name:
        return [PACKAGE]
    spec = _spec(top) if top else None
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(each) for each in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except ValueError:  # no name, or a module that was made without a file (`__main__`)
        return None


def exports(module: str) -> dict[str, str]:
    """The lazily loaded public names of a package: name to the module that defines it.

    Read from the call of `lazy_loader.attach` in its `__init__.py`.
    """
    file = module_file(module)
    if file is None or file.name != "__init__.py":
        return {}
    return _exports(file, module, file.stat().st_mtime_ns)


@cache
def _exports(file: Path, module: str, changed: int) -> dict[str, str]:
    return {name: f"{module}.{inside}" for name, inside in table(ast.parse(file.read_text(encoding="utf-8"))).items()}


def table(tree: ast.Module) -> dict[str, str]:
    """As `exports`, from a syntax tree; modules are relative to the package."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(call := node.value, ast.Call):
            for given in call.keywords:
                if given.arg == "submod_attrs" and ast.unparse(call.func).endswith(".attach"):
                    written: dict[str, list[str]] = ast.literal_eval(given.value)
                    return {name: inside for inside, names in written.items() for name in names}
    return {}


def definition(address: str) -> tuple[str, str]:
    """(the module, the name in it) of what has an address: `xlearn.encoders.Cnn` is `Cnn` in `xlearn.encoders.cnn`."""
    module, _, name = address.rpartition(".")
    return exports(module).get(name, module), name


def public(address: str) -> str | None:
    """The public address of an xlearn component that has the name of its module; None for everything else.

    `xlearn.encoders.cnn.Cnn` is `xlearn.encoders.Cnn`; `xlearn.schedules.cosine.cosine`, defined in `_cosine.py`, is
    `xlearn.schedules.cosine`.
    """
    module, _, name = address.rpartition(".")
    within, _, last = module.rpartition(".")
    modules = (module, f"{within}._{last}")
    parts = module.split(".")
    packages = [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)] if parts[0] == PACKAGE.name else []
    return next((f"{each}.{name}" for each in packages if exports(each).get(name) in modules), None)
