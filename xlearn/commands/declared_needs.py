"""The needs of a component in words, read from its source text, so that `xlearn show` imports nothing heavy."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

from xlearn.runtime import needs
from xlearn.runtime.addresses import definition, module_file
from xlearn.runtime.needs import Needs

BUILT_IN = {"replace": replace, "frozenset": frozenset, "True": True, "False": False, "set": set}


def needs_in_words(target: str) -> str:
    """A line for `xlearn show`; empty for a component that needs nothing special, or whose declaration cannot be read so."""
    module, name = definition(target)
    try:
        node = _nodes(module).get(name)
        if node is None:
            return ""
        words = _needs(module, node).words()
    except (NameError, AttributeError, TypeError, SyntaxError):
        return ""
    depends = isinstance(node, ast.ClassDef) and any(getattr(each, "name", "") == "needed" for each in node.body)
    more = "more, depending on its arguments"
    return f"    needs: {', '.join([*words, *([more] if depends else [])])}" if words or depends else ""


@cache
def _nodes(module: str) -> dict[str, ast.stmt]:
    """The classes, functions and assignments at the top of a module, by name."""
    file = module_file(module)
    if file is None:
        return {}
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        found |= dict.fromkeys(_names(node), node)
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.ImportFrom):
        yield from (each.asname or each.name for each in node.names)
    elif isinstance(node, ast.Assign):
        yield from (each.id for each in node.targets if isinstance(each, ast.Name))


def _needs(module: str, node: ast.stmt) -> Needs:
    """The needs that a class declares by its attribute, and a function by its decorator."""
    scope = _Scope(module)
    if isinstance(node, ast.FunctionDef):
        for each in node.decorator_list:
            if isinstance(each, ast.Call) and ast.unparse(each.func) == "declares":
                return _value(each.args[0], scope)
        return needs.SUPERVISED
    if not isinstance(node, ast.ClassDef):
        return needs.SUPERVISED
    for each in node.body:
        if isinstance(each, ast.Assign) and [ast.unparse(name) for name in each.targets] == ["needs"]:
            return _value(each.value, scope)
    for base in node.bases:  # the first base that declares needs
        if isinstance(base, ast.Name) and isinstance(found := scope.get(base.id), SimpleNamespace):
            return found.needs
    return needs.SUPERVISED


def _value(node: ast.expr, scope: "_Scope") -> Any:
    return eval(compile(ast.Expression(node), "needs", "eval"), {"__builtins__": {}}, scope)


class _Scope(Mapping[str, Any]):
    """The names of a module, without importing it. A class has `needs` and `kind`."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __getitem__(self, name: str) -> Any:
        if name in BUILT_IN:
            return BUILT_IN[name]
        if name in vars(needs) and name.isidentifier() and not name.startswith("_"):
            return vars(needs)[name]
        node = _nodes(self.module).get(name)
        if isinstance(node, ast.ImportFrom):
            module, inner = definition(f"{node.module}.{name}")
            return _Scope(module)[inner]
        if isinstance(node, ast.Assign):
            return _value(node.value, self)
        if isinstance(node, ast.ClassDef):
            named = {
                ast.unparse(each.target): each.value for each in node.body if isinstance(each, ast.AnnAssign) and each.value
            }
            kind = named.get("kind")
            return SimpleNamespace(needs=_needs(self.module, node), kind=ast.literal_eval(kind) if kind else name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_nodes(self.module))

    def __len__(self) -> int:
        return len(_nodes(self.module))
