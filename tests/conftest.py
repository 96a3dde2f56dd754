"""Every test has a cache and a working directory of its own; the network is out of reach."""

import os
from pathlib import Path

import pytest
import torch
from toys.runs import toy_folder

# One thread: what is compared bit by bit must not depend on the machine.
torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Phases are addressed by content, so tests may share their cache; it is never the user's."""
    os.environ["XLEARN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`outputs/` is written below the working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """The words of the toy experiment."""
    return toy_folder(tmp_path)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that no other test has filled, beside the test's own folder, and `datasets` quiet."""
    import datasets

    monkeypatch.setenv("XLEARN_CACHE", f"{tmp_path}-cache")
    datasets.disable_progress_bars()
