"""One set of defaults: the option that is named like its target has Python's, written out; other options are variants."""

import importlib
import inspect
from functools import cache

import pytest
from omegaconf import open_dict

from xlearn.config.compose import composed, register
from xlearn.config.folders import conf_folder, read_yaml

CONF = conf_folder()
# Groups of `conf/` whose components live in a room of another name.
ROOMS = {"objectives": "objective", "encoders": "encoder", "schedules": "schedule", "tasks": "task", "augment": "augment"}


def plain(name):
    return name.replace("_", "").lower()


def nodes(node, path=()):
    """Every component in a node: (the keys above it, the component)."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield path, node
        for key, value in node.items():
            yield from nodes(value, (*path, key))


def found():
    """By target of ours: (file, keys, arguments) of each component in `conf/`."""
    by_target = {}
    for file in sorted(CONF.rglob("*.yaml")):
        for path, node in nodes(read_yaml(file)):
            if node["_target_"].startswith("xlearn."):
                given = {key: value for key, value in node.items() if key != "_target_"}
                by_target.setdefault(node["_target_"], []).append((file, (file.stem, *path), given))
    return by_target


FOUND = found()


def homes(target):
    """The components of options that are named like their target (in the target's own group, or, without one, anywhere), or
    the only option of a target.
    """
    if len({file for file, _, _ in FOUND[target]}) == 1:
        return FOUND[target]
    named = [each for each in FOUND[target] if plain(target.rpartition(".")[2]) in {plain(key) for key in each[1]}]
    rooms = {ROOMS.get(part, part) for part in target.split(".")}
    own = [each for each in named if each[0].relative_to(CONF).parts[0] in rooms]
    return own or named


def parameters(target):
    module, _, name = target.rpartition(".")
    return inspect.signature(getattr(importlib.import_module(module), name)).parameters


@cache
def resolved(value):
    """An interpolation follows a key at the top, whose default is then that of Python."""
    register([])
    config = composed([], [])
    with open_dict(config):
        config.interpolated = value
    return config.interpolated


def same(value, default):
    value = resolved(value) if isinstance(value, str) and "${" in value else value
    return list(value) == list(default) if isinstance(value, list) and isinstance(default, tuple) else value == default


@pytest.mark.parametrize("target", [target for target in FOUND if homes(target)])
def test_an_option_named_like_its_target_has_the_defaults_of_python(target):
    signature = parameters(target)
    for file, _, given in homes(target):
        for name, value in given.items():
            if name in signature and signature[name].default is not inspect.Parameter.empty:
                assert same(value, signature[name].default), f"{file.relative_to(CONF)}: {name}"


@pytest.mark.parametrize("target", [target for target in FOUND if homes(target)])
def test_such_an_option_writes_all_of_them_out(target):
    """Overrides and the page of options know what stands in the files."""
    settable = {name for name, each in parameters(target).items() if each.default is not inspect.Parameter.empty}
    for file, _, given in homes(target):
        assert settable <= set(given), file.relative_to(CONF)


def test_nearly_all_targets_have_such_an_option():
    """The others are parts of several methods, each with values of its own, as the base learners are."""
    assert len(FOUND) == 182 and sum(bool(homes(target)) for target in FOUND) >= 160
