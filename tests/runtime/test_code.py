"""The digest of code: what runs counts, wherever it is imported from; what is only said does not."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import xlearn
from xlearn.runtime import code
from xlearn.runtime.code import behind, closure, code_digest
from xlearn.runtime.errors import Problem

PACKAGE = Path(xlearn.__file__).parent

# What phases and runs are keyed by, in a process of its own and without torch.
KEYS = """
import json, sys
from xlearn.runtime.code import code_digest
from xlearn.runtime.fingerprints import code_of
engine = "xlearn.phases.solve"
objective = "xlearn.objectives."
print(json.dumps({
    "plain": code_digest(engine, objective + "supervised.cross_entropy"),
    "dann": code_digest(engine, objective + "supervised.cross_entropy", objective + "adaptation.dann"),
    "mae": code_digest(engine, objective + "self_supervision.mae"),
    "run": code_of({"objective": {"_target_": objective + "CrossEntropy"}}),
}))
assert "torch" not in sys.modules
"""


def keys(folder):
    environment = {"PYTHONPATH": str(folder), "XLEARN_CACHE": str(folder / "cache"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", KEYS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package, and its keys."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "xlearn", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    return folder, keys(folder)


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text


@pytest.mark.parametrize(
    ("file", "old", "new", "voided"),
    [
        # What runs.
        (
            "objectives/supervised/cross_entropy.py",
            "0 <= label_smoothing < 1:",
            "0 <= label_smoothing < 2:",
            {"plain", "dann", "run"},
        ),
        ("objectives/adaptation/dann.py", "10.0", "11.0", {"dann"}),
        ("phases/update.py", "[*self.losses, self.combine]", "[*self.losses]", {"plain", "dann", "mae", "run"}),
        ("results/gains.py", "return", "return None or", {"run"}),
        # What is only said, or laid out otherwise.
        ("objectives/supervised/cross_entropy.py", '"""', '"""Reworded. ', set()),
        ("phases/fit.py", "import torch\n", "import torch  # the library\n\n", set()),
        ("data/reads.py", "Choose among these.", "Choose one of these.", set()),
        ("plan/build.py", "there is no such key", "no key has this name", set()),
        ("__init__.py", '__version__ = "', '__version__ = "9.', set()),
        ("config/renamed.py", "KEYS = {", 'KEYS = {"older": "merge", ', set()),
        # What only others use.
        ("objectives/adaptation/mcd.py", "return", "return None or", set()),
        ("commands/show.py", "return", "return None or", set()),
        ("table/tabulate.py", "return", "return None or", set()),
    ],
)
def test_what_runs_voids_those_that_use_it_and_nothing_else(copied, file, old, new, voided):
    folder, before = copied
    text = change(folder / "xlearn" / file, old, new)
    after = keys(folder)
    (folder / "xlearn" / file).write_text(text, encoding="utf-8")
    assert {name for name in before if before[name] != after[name]} == voided


def test_a_new_method_voids_nothing(copied):
    folder, before = copied
    room = folder / "xlearn" / "objectives"
    (room / "adaptation" / "newest.py").write_text("def newest(network, batches): ...\n")
    text = change(room / "__init__.py", "submod_attrs={", 'submod_attrs={\n        "adaptation.newest": ["newest"],')
    after = keys(folder)
    (room / "__init__.py").write_text(text, encoding="utf-8")
    assert after == before


def digests(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    return code_digest("mine")


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "_owned", {"xlearn": True})
    return tmp_path


@pytest.mark.parametrize(
    "importing",
    [
        "import helper",
        "from helper import made",
        "from helper import *",
        "def later():\n    import helper",
        "import helper as h",
    ],
)
def test_the_user_s_own_helpers_count(own, importing):
    before = digests(own, mine=importing, helper="made = 1")
    assert digests(own, helper="made = 2") != before
    assert digests(own, helper="# a comment\nmade = 1\n") == before


def test_packages_of_the_user_count_by_relative_imports_too(own):
    (own / "mine").mkdir()
    for name, text in {
        "__init__": "",
        "first": "from . import second\nfrom .third import value",
        "second": "",
        "third": "value = 1",
    }.items():
        (own / "mine" / f"{name}.py").write_text(text)
    assert set(closure("mine.first")) == {"mine", "mine.first", "mine.second", "mine.third"}
    before = code_digest("mine.first")
    (own / "mine" / "third.py").write_text("value = 2")
    assert code_digest("mine.first") != before


def test_a_helper_package_without_an_init_file_counts(own):
    (own / "helpers").mkdir()
    (own / "helpers" / "scale.py").write_text("SCALE = 1")
    digests(own, mine="from helpers.scale import SCALE")
    assert "helpers.scale" in closure("mine")


def test_what_was_imported_and_changed_since_is_refused(own):
    """The process would compute with the former code, and keep that under the key of the present one."""
    (own / "changing_module.py").write_text("value = 1")
    before = code_digest("changing_module")
    importlib.import_module("changing_module")
    assert code_digest("changing_module") == before
    (own / "changing_module.py").write_text("value = 2")
    with pytest.raises(Problem, match=r"changing_module.py changed after this process imported it.*restart the kernel"):
        code_digest("changing_module")


def test_what_an_installer_put_somewhere_is_no_code_of_the_user(own):
    (own / "foreign").mkdir()
    (own / "foreign" / "__init__.py").write_text("")
    digests(own, mine="import foreign")
    assert set(closure("mine")) == {"mine", "foreign"}
    (own / "foreign-1.0.dist-info").mkdir()
    code._owned.clear()
    assert set(closure("mine")) == {"mine"}


def test_what_only_a_type_checker_imports_does_not_count(own):
    digests(
        own,
        mine="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper\nelse:\n    import other",
        helper="",
        other="",
    )
    assert set(closure("mine")) == {"mine", "other"}


@pytest.mark.parametrize(
    "importing",
    [
        "from xlearn.objectives import Dann",
        "import xlearn.objectives\nmade = xlearn.objectives.Dann",
        "from xlearn import objectives\nmade = objectives.Dann",
        "import xlearn.objectives as known\nmade = known.Dann",
        "import xlearn\nmade = xlearn.objectives.Dann",
    ],
)
def test_a_public_name_leads_to_its_own_file(own, importing):
    digests(own, mine=importing)
    found = set(closure("mine"))
    assert "xlearn.objectives.adaptation.dann" in found and "xlearn.objectives.adaptation.mcd" not in found


def test_libraries_count_where_a_component_is_theirs(own):
    digests(own, mine="import pytest, json, torch, xdist")
    assert set(closure("mine")) == {"mine"}
    assert {"xdist", "xdist.scheduler"} <= set(closure("xdist.plugin")) and not closure(
        "torch.optim", "builtins", "nowhere.such"
    )


def test_xlearn_counts_where_it_is_installed_like_a_library(monkeypatch):
    monkeypatch.setattr(code, "INSTALLED", (*code.INSTALLED, PACKAGE.parent.resolve()))
    assert "xlearn.phases.fit" in closure("xlearn.phases.solve")


def test_a_file_that_cannot_be_parsed_counts_as_it_is(own):
    assert digests(own, mine="def f(:") != digests(own, mine="def g(:")


def forget():
    """As in the next process."""
    code._stored.cache_clear()
    code._own_module.cache_clear()


def test_nothing_is_parsed_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path))
    forget()
    found = code_digest("xlearn.phases.solve")
    (stored,) = (tmp_path / "code").glob("*.json")
    assert len(json.loads(stored.read_text())) > 50
    forget()
    with monkeypatch.context() as patched:
        patched.setattr(code, "analysed", lambda content, ours: pytest.fail("parsed again"))
        assert code_digest("xlearn.phases.solve") == found
    stored.write_text("{ damaged")
    forget()
    assert code_digest("xlearn.phases.solve") == found
    monkeypatch.setenv("XLEARN_CACHE", "/dev/null/no/folder")
    code._own_module.cache_clear()
    assert code_digest("xlearn.phases.solve") == found


def test_the_modules_behind_a_configuration():
    config = {
        "a": {"_target_": "xlearn.fusion.Concat"},
        "b": [{"_target_": "mine.penalty", "c": {"_target_": "torch.optim.Adam"}}],
    }
    assert behind(config) == {"xlearn.fusion.concat", "mine", "torch.optim"} and behind({"_target_": None}) == set()
