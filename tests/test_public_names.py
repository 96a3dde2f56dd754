"""Every component has one public address, which survives the moving of files, whatever was imported before it."""

import importlib
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xlearn
from xlearn.config.folders import conf_folder
from xlearn.runtime.addresses import definition, exports, module_file, public

PACKAGE = Path(xlearn.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if file.name != "__main__.py"
)
PACKAGES = [module for module in MODULES if module_file(module).name == "__init__.py"]
TARGETS = sorted(
    {
        target
        for file in conf_folder().rglob("*.yaml")
        for target in re.findall(r"_target_: (xlearn[\w.]+)", file.read_text(encoding="utf-8"))
    }
)

# Imports every module, in an order of its own, then asks for every public name.
SCRIPT = """
import importlib, sys
modules, names = (line.split() for line in sys.stdin.read().splitlines())
for module in modules:
    importlib.import_module(module)
for name in names:
    package, _, name = name.rpartition(".")
    found = getattr(importlib.import_module(package), name)
    assert callable(found) and type(found).__name__ != "module", (package, name, found)
"""


def test_every_target_is_a_public_name():
    assert len(TARGETS) == 182
    for target in TARGETS:
        package, _, name = target.rpartition(".")
        assert name in exports(package), target


def test_every_public_name_is_one_of_a_component_or_of_the_top():
    named = {f"{package}.{name}" for package in PACKAGES for name in exports(package) if package != "xlearn"}
    assert named == set(TARGETS)


def test_no_module_bears_the_name_of_what_its_package_exports():
    for package in PACKAGES:
        inside = {module.rpartition(".")[2] for module in MODULES if module.rpartition(".")[0] == package}
        assert not inside & set(exports(package)), package


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_is_imported_first_every_name_is_callable(seed):
    order = random.Random(seed).sample(MODULES, len(MODULES))
    names = [f"{package}.{name}" for package in PACKAGES for name in exports(package)]
    text = f"{' '.join(order)}\n{' '.join(names)}"
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_read_from_the_file_is_the_one_that_python_uses():
    for package in PACKAGES:
        table = exports(package)
        assert sorted(table) == sorted(getattr(importlib.import_module(package), "__all__", [])), package
        for name, module in table.items():
            assert definition(f"{package}.{name}") == (module, name)
            assert public(f"{module}.{name}") == f"{package}.{name}"
            assert getattr(importlib.import_module(package), name) is getattr(importlib.import_module(module), name)


def test_what_is_no_component_has_no_public_address():
    for address in ("xlearn.runtime.hashing.digest", "torch.optim.Adam", "xlearn.encoders.cnn.Other", "mine.Cnn", "cnn"):
        assert public(address) is None
