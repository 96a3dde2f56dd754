"""The engine knows no family: it asks no component what only some have, and compares no names of options."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

import pytest

import xlearn
from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.config.folders import groups as groups_of
from xlearn.phases.keeping import BY_VALIDATION
from xlearn.runtime.addresses import exports
from xlearn.runtime.names import RULES

PACKAGE = Path(xlearn.__file__).parent
# A config group has a component folder of its name; these have the components of tasks.
TASKS = {"data/tasks", "data/modalities", "data/augment", "label_spaces"}
# Before the boundary everything is configuration: names are what it is about. Tables and search read results.
CONFIGURATION = {"config", "commands", "table", "search", "cli.py", "api.py", "__main__.py"}

# Where declarations of functions and the source text of modules are read.
DECLARATIONS = ("runtime/needs.py", "runtime/syntax.py")


def engine() -> dict[str, ast.Module]:
    components = {group.partition("/")[0] for group in groups_of([conf_folder()])} | TASKS | {"metrics"}
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        rooms = {name.partition("/")[0], "/".join(name.split("/")[:2]), "/".join(name.split("/")[:2]).removesuffix(".py")}
        inside = {
            "encoders",
            "objectives",
            "balance",
            "trunks",
            "solvers",
            "base_learners",
            "selection",
            "schedules",
            "averaging",
        }
        if not rooms & (components | CONFIGURATION | inside):
            found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


ENGINE = engine()


def option_names() -> set[str]:
    """All names of options of component groups, and of rules of selection, but words that are roles or splits too."""
    groups = [
        group for group in groups_of([conf_folder()]) if group.partition("/")[0] not in ("task", "table", "encoder", "teacher")
    ]
    names = {name for group in groups for name in options(group, [conf_folder()])}
    classes = {
        str(read_yaml(file).get("_target_", "")).rpartition(".")[2]
        for group in groups
        for file in options(group, [conf_folder()]).values()
    }
    return (names | classes | {*RULES} | {*BY_VALIDATION}) - {"none", "all", "", "missing", "names"}


def component_classes() -> set[str]:
    """The classes that component folders and task folders define."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        if name not in ENGINE and name.partition("/")[0] not in CONFIGURATION and not name.startswith("runtime/"):
            found |= {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)}
    return found


def calls(tree: ast.Module, *names: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) in names]


def test_the_engine_is_what_it_is():
    """A room that is moved stays measured."""
    for name in (
        "pipeline.py",
        "phases/fit.py",
        "phases/training.py",
        "plan/components.py",
        "learners/own.py",
        "results/target.py",
    ):
        assert name in ENGINE
    assert not any(name.startswith(("objectives", "config", "batches", "measuring", "fusion")) for name in ENGINE)


def test_it_asks_no_component_what_only_some_have():
    """Of torch's modules and of plain values it may: they are not ours."""
    allowed = {
        # Names for messages, and torch's modules.
        "getattr(given_to.func, '__name__', type(given_to.func).__name__)", "getattr(each, '__name__', '')",
        "getattr(module, 'inplace', False)", "getattr(child, inner, nn.Identity())", "hasattr(value, '_fields')",
        "hasattr(os, 'sched_getaffinity')",
        # Fields of dataclasses, all of which exist.
        "getattr(self, each.name)", "getattr(source.options, key)", "getattr(options, key)",
    }  # fmt: skip
    found = [
        f"{name}: {ast.unparse(each)}"
        for name, tree in ENGINE.items()
        for each in calls(tree, "getattr", "hasattr")
        if ast.unparse(each) not in allowed and name not in DECLARATIONS
    ]
    assert found == []


def test_it_asks_no_component_for_its_class():
    ours = component_classes() - {"Sequences", "Ragged", "Network", "Tensor", "Source", "Sealed", "Entities", "Spec"}
    found = [
        f"{name}: {ast.unparse(each)}"
        for name, tree in ENGINE.items()
        for each in calls(tree, "isinstance", "issubclass")
        if {*re.findall(r"\w+", ast.unparse(each.args[1]))} & ours
    ]
    assert found == []


def test_it_compares_no_name_of_an_option():
    names, found = option_names(), []
    for name, tree in ENGINE.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [each for side in (node.left, *node.comparators) for each in ast.walk(side)]
                words = {each.value for each in sides if isinstance(each, ast.Constant) and isinstance(each.value, str)}
                found += [f"{name}: {ast.unparse(node)}"] if words & names else []
    assert found == []


def test_it_knows_no_component_by_identity():
    """No `each.func is mixup`: what a component is, it declares."""
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, tree in ENGINE.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and re.search(r"\.func\b", ast.unparse(node.left))
    ]
    assert found == []


def test_nothing_behind_the_boundary_reads_the_configuration():
    reading = re.compile(r"\bconfig\[|(?<!xlearn)\.config\b")
    found = []
    for name, tree in ENGINE.items():
        if name in (
            "plan/build.py",
            "plan/phases_from_config.py",
            "results/target.py",
            "results/network.py",
            "results/files.py",
            "pipeline.py",
        ):
            continue  # the boundary, and what writes the configuration into the result and reads it there
        found += [f"{name}: {line}" for line in ast.unparse(tree).splitlines() if reading.search(line)]
    assert found == []


FAMILIES = ["adaptation", "distillation", "generalization", "multimodal", "self_supervision", "self_training"]


@pytest.mark.slow
def test_without_any_family_the_engine_is_tested_all_the_same(tmp_path):
    """All families of objectives but the supervised one, all solvers, and all balances, sharings and fusions but the plain ones
    are deleted in a copy; the tests of the engine that import none of them pass.
    """
    root = PACKAGE.parent
    for folder in ("xlearn", "conf", "tests"):
        copytree(root / folder, tmp_path / folder, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    gone = [f"xlearn.objectives.{family}" for family in FAMILIES]
    for family in FAMILIES:
        rmtree(tmp_path / "xlearn" / "objectives" / family)
    for room, plain in (("solvers", {"__init__", "classifier"}), ("balance", {"__init__", "_equal", "gradients", "gramian"})):
        for file in (tmp_path / "xlearn" / room).glob("*.py"):
            if file.stem not in plain:
                gone.append(f"xlearn.{room}.{file.stem}")
                file.unlink()
    chosen = _without(tmp_path / "tests", gone)
    assert len(chosen) > 15, chosen
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-o"]
    command += ["addopts=--strict-markers -m 'not slow' --import-mode=importlib", *chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:]


def _environment(root: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}", "XLEARN_CACHE": str(root / "cache")}


def _without(tests: Path, gone: list[str]) -> list[str]:
    """The tests of the engine's rooms that need none of the modules, by themselves or by a toy."""
    words = re.compile("|".join([*map(re.escape, gone), *(rf"\b{word}\b" for word in _deleted(gone))]))
    needs = {file.stem: bool(words.search(file.read_text(encoding="utf-8"))) for file in (tests / "toys").glob("*.py")}
    inner = {file.stem: re.findall(r"from toys\.(\w+) import", file.read_text()) for file in (tests / "toys").glob("*.py")}
    for _ in needs:  # a toy of a toy
        needs = {name: own or any(needs[each] for each in inner[name]) for name, own in needs.items()}
    rooms = ("phases", "learners", "plan", "results", "networks", "data", "batches", "measuring", "label_spaces", "runtime")
    found = []
    for room in rooms:
        for file in sorted((tests / room).glob("test_*.py")):
            text = file.read_text(encoding="utf-8")
            toys = re.findall(r"from toys\.(\w+) import", text)
            every_option = "groups([conf_folder()])" in text  # those of the families too
            if not every_option and not words.search(text) and not any(needs[toy] for toy in toys):
                found.append(str(file.relative_to(tests.parent)))
    return found


def _deleted(gone: list[str]) -> set[str]:
    """The public names that the deleted modules define, and `group=option` for the options that name them."""
    rooms = ("xlearn.objectives", "xlearn.solvers", "xlearn.balance")
    classes = {name for room in rooms for name, module in exports(room).items() if module.startswith(tuple(gone))}
    chosen = set()
    for group in groups_of([conf_folder()]):
        for name, file in options(group, [conf_folder()]).items():
            if {*re.findall(r"xlearn\.\w+\.(\w+)", file.read_text(encoding="utf-8"))} & classes:
                chosen.add(f"{group}={name}")
    named = {rf"(?:import |objectives\.|solvers\.|balance\.)[^\n]*{each}" for each in classes}
    return named | chosen
