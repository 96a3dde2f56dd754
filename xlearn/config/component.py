"""A configuration node is a call: `component` turns `{_target_: path, argument: value}` into a partial."""

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from xlearn.config.renamed import renamed, sentence
from xlearn.runtime.addresses import exports
from xlearn.runtime.errors import Problem, Problems, nearest


def component(node: Any, where: str, positional: int | None = None, kind: type | None = None) -> partial[Any]:
    """The partial of `node`. `where` is the node's place, for messages.

    A configuration may set the target's keyword-only parameters and those with a default. The run
    passes its own values (a network, a batch) by position when it calls the partial; `positional`: their number, if known.
    `kind`: the class from which the target must inherit.

    Raises `Problems` that name unknown keys, missing ones and values of a wrong type, and a target that needs more
    positional values than the run passes.
    """
    if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
        raise Problem(f"{where}: {node!r} is no component. Expected _target_ with a dotted path, and its arguments.")
    target = resolve(node["_target_"], where)
    if kind is not None and not (inspect.isclass(target) and issubclass(target, kind)):
        public = f"{kind.__module__}.{kind.__name__}"
        raise Problem(f"{where}._target_={node['_target_']} does not inherit from {public}. Choose a class that does.")
    arguments = {name: value for name, value in node.items() if name != "_target_"}
    try:
        settable, hints = _settable(target)
    except ValueError as error:  # some of Python's own classes and functions
        raise Problem(f"{where}._target_={node['_target_']}: it has no signature. Name a wrapper function.") from error
    problems = [
        f"{where}.{name}: {node['_target_']} has no such argument. {nearest(name, settable)}"
        for name in arguments
        if name not in settable
    ]
    problems += [
        f"{where}.{name} is missing: {node['_target_']} needs it."
        for name, parameter in settable.items()
        if parameter.default is parameter.empty and name not in arguments
    ]
    for name, value in arguments.items():
        if name in settable and name in hints and not _fits(value, hints[name]):
            text = str in {*leaves_of(hints[name])} and not isinstance(value, list | dict | str)
            fix = " A text is written in quotes." if text else ""
            problems.append(f"{where}.{name}={value!r} is no {_readable(hints[name])}.{fix}")
    waiting = _waiting(target) if positional is not None else []
    if positional is not None and len(waiting) > positional:
        passed = f"{positional or 'no'} value{'' if positional == 1 else 's'}"
        problems.append(
            f"{where}._target_={node['_target_']} needs {', '.join(waiting)} by position, but gets {passed} here. Name a "
            "function with keyword-only or default parameters."
        )
    if problems:
        raise Problems(problems)
    made = partial(target, **arguments)
    vars(made)["address"] = node["_target_"]  # enters the digests of phases
    return made


def split_arguments(node: dict[str, Any], options: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the fields of the dataclass `options`, the other arguments) of a node that mixes both."""
    names = typing.get_type_hints(options)
    return (
        {name: value for name, value in node.items() if name in names},
        {name: value for name, value in node.items() if name not in names},
    )


def resolve(path: str, where: str) -> Callable[..., Any]:
    """The object at a dotted path."""
    module_name, _, name = path.rpartition(".")
    if module_name == "__main__":
        raise Problem(
            f"{where}._target_={path}: xlearn cannot check whether code in a script or notebook has changed since the last "
            f"run. Move {name} to a module, and name that (mymodule.{name})."
        )
    if (new := renamed(path)) is not None:
        raise Problem(f"{where}._target_={path}: it is {new} now (docs/migration.md).")
    try:
        module = importlib.import_module(module_name)
        found = getattr(module, name, None)
    except ImportError as error:
        if (told := sentence(error)) is not None:
            raise Problem(f"{where}._target_={path}: {module_name} imports names of an earlier version. {told}") from error
        if not isinstance(error, ModuleNotFoundError):
            raise
        raise Problem(
            f"{where}._target_={path}: there is no module {error.name!r}. Is it installed or on PYTHONPATH?"
        ) from error
    except ValueError as error:
        raise Problem(f"{where}._target_={path} is no dotted path such as package.module.name.") from error
    if not callable(found):
        public = exports(module_name) or [
            key for key, value in vars(module).items() if callable(value) and not key.startswith("_")
        ]
        raise Problem(f"{where}._target_={path}: {module_name} has no {name!r} to call. {nearest(name, public)}")
    return found


def _waiting(target: Callable[..., Any]) -> list[str]:
    """The positional parameters without a default."""
    parameters = inspect.signature(target).parameters.values()
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The types of a target's arguments by name; empty where they cannot be resolved."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except NameError:  # annotations under TYPE_CHECKING cannot be resolved; a wrong type then fails in the call
        return {}


def _settable(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    parameters = inspect.signature(target).parameters
    settable = {
        name: each for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY or each.default is not each.empty
    }
    return settable, hints_of(target)


def _fits(value: Any, hint: Any) -> bool:
    from beartype import BeartypeConf
    from beartype.door import is_bearable

    if isinstance(value, list):
        # beartype checks one item of a list only, drawn at random.
        items = [typing.get_args(member)[:1] for member in members(hint) if typing.get_origin(member) is list]
        return any(all(_fits(item, each[0]) for item in value) for each in items if each) or Any in members(hint)
    if isinstance(value, bool) and bool not in members(hint) and Any not in members(hint):
        return False  # Python accepts a bool as an int; a configuration does not
    return is_bearable(value, hint, conf=BeartypeConf(is_pep484_tower=True))


def members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; another type is its only member."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def leaves_of(hint: Any, inside: bool = False) -> Iterator[Any]:
    """The types of the single values of a type, or of those `inside` its lists and mappings; `str` for a choice among texts."""
    for member in members(hint):
        origin, inner = typing.get_origin(member), typing.get_args(member)
        if origin in (list, dict, tuple, Sequence, Mapping):
            values = [each for each in inner[-1:] if inside]
            yield from (leaf for each in values for part in (False, True) for leaf in leaves_of(each, part))
        elif not inside:
            yield from (type(value) for value in inner) if origin is typing.Literal else (member,)


def _readable(hint: Any) -> str:
    names = []
    for member in members(hint):
        if member is type(None):
            names.append("null")
        elif typing.get_origin(member) is typing.Literal:
            names += [str(value) for value in typing.get_args(member)]
        else:
            names.append(member.__name__ if isinstance(member, type) and not typing.get_args(member) else str(member))
    return " or ".join(name.replace("typing.", "") for name in names)
