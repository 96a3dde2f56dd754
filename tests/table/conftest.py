"""A folder of the user's with a small table."""

from pathlib import Path

import pytest
import yaml


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(work: Path) -> Path:
    """A folder of the user's with a small table."""
    content = {
        "experiment": "small",
        "sweep": ["transfer=scratch,finetune", "target.shots=1,null", "seed=0,1"],
        "against": "scratch",
        "reference": {"finetune": {1: {"value": 0.91, "protocol": "10 seeds, their own split"}}},
    }
    (work / "conf" / "table").mkdir(parents=True)
    (work / "conf" / "table" / "small.yaml").write_text(yaml.safe_dump(content))
    return work / "conf"
