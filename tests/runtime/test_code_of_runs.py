"""What a change of the code voids: nothing by a method that is added, and by a changed line what goes through it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toys.runs import environment, toy_folder

import xlearn
from xlearn.config.folders import conf_folder

PACKAGE = Path(xlearn.__file__).parent

OBJECTIVE = '''"""Nothing new."""


def newest(network, batches):
    """The mean of the logits."""
    return {"newest": sum(network(batch).mean() for batch in batches.values())}
'''


@pytest.fixture
def copy(tmp_path):
    """A function that runs a command of a copy of xlearn, and gives its lines; the copy; and the words of a tiny run."""
    folder = tmp_path / "copy"
    shutil.copytree(PACKAGE, folder / "xlearn", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    shutil.copytree(conf_folder(), folder / "xlearn" / "conf")
    variables = environment(tmp_path / "cache")
    variables["PYTHONPATH"] = f"{folder}:{variables['PYTHONPATH']}"

    def run(*words):
        command = [sys.executable, "-m", "xlearn", "train", *words]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run, folder / "xlearn", [*toy_folder(tmp_path), "threads=1"], tmp_path


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def cached(folder):
    """Whether each phase of the only run was taken from the cache, by name."""
    (file,) = (folder / "outputs").rglob("result.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    return {phase["name"]: phase["cached"] for phase in result["phases"]}


@pytest.mark.slow
def test_what_voids_a_run_and_its_phases(copy):
    run, package, words, folder = copy
    run(*words)
    assert cached(folder) == {"pretrain": False, "finetune": False}

    # A method as docs/adding-a-method.md has it: file, public name, YAML.
    (package / "objectives" / "regularization" / "newest.py").write_text(OBJECTIVE, encoding="utf-8")
    table = package / "objectives" / "__init__.py"
    change(table, "submod_attrs={", 'submod_attrs={\n        "regularization.newest": ["newest"],')
    option = package / "conf" / "regularizer" / "newest.yaml"
    option.write_text("# Nothing new\nnewest:\n  _target_: xlearn.objectives.newest\n", encoding="utf-8")
    assert "already done" in run(*words)

    # The measuring alone: the run is measured again, its phases are not.
    change(package / "results" / "gains.py", "\n\n", "\n\nFURTHER = 1\n")
    assert "it is computed again" in run(*words)
    assert cached(folder) == {"pretrain": True, "finetune": True}

    # What the phases go through.
    for file in ("objectives/supervised/cross_entropy.py", "phases/fit.py", "encoders/mlp.py", "data/modalities/image.py"):
        change(package / file, "\n\n", "\n\nFURTHER = 1\n")
        assert "it is computed again" in run(*words)
        assert cached(folder) == {"pretrain": False, "finetune": False}, file

    # And what they do not: the method that was added, tables, and what is only said of a file.
    for file in ("objectives/regularization/newest.py", "table/tabulate.py"):
        change(package / file, "\n\n", "\n\nFURTHER = 1\n")
    change(package / "phases" / "fit.py", '"""', '"""Reworded. ')
    assert "already done" in run(*words)

    # Another modality, whose form the run might ask for, and its phases do not.
    change(package / "data" / "modalities" / "audio.py", "\n\n", "\n\nFURTHER = 1\n")
    assert "it is computed again" in run(*words)
    assert cached(folder) == {"pretrain": True, "finetune": True}
