"""The installed package, away from the repository."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_from_the_wheel_in_another_folder(tmp_path, working_directory):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    [wheel] = tmp_path.glob("xlearn-*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    assert shipped == {f"xlearn/conf/{file.relative_to(ROOT / 'conf').as_posix()}" for file in (ROOT / "conf").rglob("*.yaml")}
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(place)}

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=working_directory, env=environment, capture_output=True, text=True, check=True
        ).stdout

    where = subprocess.run(
        [sys.executable, "-c", "import xlearn; print(xlearn.__file__)"],
        cwd=working_directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(place))
    assert "transfer=l2_sp" in run("xlearn", "show", "transfer")
    printed = run("xlearn", "train", "budget=quick", "threads=1")
    assert printed.startswith("mnist5k -> optdigits: finetune")
    [file] = working_directory.glob("outputs/default/*/result.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert 0 < result["metrics"]["accuracy"] <= 1
    assert "| finetune" in run("xlearn", "table", "outputs")
