"""Analyses a source file from its syntax tree, without running it: its imports, its public names, and a digest of its code."""

import ast
import hashlib
from collections.abc import Iterator
from typing import Any, TypedDict

from xlearn.runtime.addresses import table

# Assignments of a module that compute nothing.
TABLES = ({"__all__"}, {"__version__"}, {"__getattr__", "__dir__", "__all__"})
# A module of xlearn that sets this to False determines no numbers: neither its code nor its imports are in a key.
DETERMINES = "DETERMINES_NUMBERS"


class Source(TypedDict):
    """`imports`: (leading dots, module, imported names or none); `attributes`: all names behind a dot; `public`: as `exports`,
    relative to the package; `determines`: False for a module that sets `DETERMINES_NUMBERS` to False.
    """

    code: str
    imports: list[tuple[int, str, list[str]]]
    attributes: list[str]
    public: dict[str, str]
    determines: bool


def analysed(content: bytes, ours: bool) -> Source:
    """`ours`: a file of xlearn, in which calls that make messages are recognised by their names."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # importing it raises
        code = hashlib.blake2b(content, digest_size=16).hexdigest()
        return {"code": code, "imports": [], "attributes": [], "public": {}, "determines": True}
    dumped = hashlib.blake2b(digest_size=16)
    for part in _dumped([each for each in tree.body if not _is_table(each)], ours):
        dumped.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return {
        "code": dumped.hexdigest(),
        "imports": list(_imported(tree)),
        "attributes": sorted({node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}),
        "public": table(tree),
        "determines": not (ours and any(_says_no(each) for each in tree.body)),
    }


def _imported(node: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for each in node.orelse:
            yield from _imported(each)
        return
    if isinstance(node, ast.Import):
        yield from ((0, each.name, []) for each in node.names)
    if isinstance(node, ast.ImportFrom):
        yield node.level, node.module or "", [each.name for each in node.names]
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def _dumped(node: Any, ours: bool, said: bool = False) -> Iterator[str]:
    """The syntax tree as text, the same in every version of Python. `said`: inside a message, where texts are left out."""
    if isinstance(node, list):
        yield "["
        for each in node:
            if not _is_text(each):
                yield from _dumped(each, ours, said)
        yield "]"
    elif isinstance(node, ast.AST):
        if said and (isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))):
            return
        said = said or isinstance(node, ast.Raise)
        if ours and isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            said = said or name == "warn" or name.endswith(("Problem", "Problems", "Error"))
            if name == "need" and not said:  # the collector's: what must hold, and the message
                yield from _dumped([node.func, *node.args[:1]], ours)
                yield from _dumped([*node.args[1:], *node.keywords], ours, said=True)
                return
        yield type(node).__name__
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in ("ctx", "kind", "type_ignores"):
                yield name
                yield from _dumped(value, ours, said)
    else:
        yield repr(node)


def _is_text(node: Any) -> bool:
    """Whether a statement is only a string: a docstring, of anything."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    parts = [part for each in targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])]
    return {part.id if isinstance(part, ast.Name) else "" for part in parts}


def _is_table(node: ast.stmt) -> bool:
    return _names(node) in TABLES


def _says_no(node: ast.stmt) -> bool:
    return _names(node) == {DETERMINES} and isinstance(node, ast.Assign) and ast.unparse(node.value) == "False"
