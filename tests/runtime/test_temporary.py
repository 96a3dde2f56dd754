"""Temporary files: gone after the write, and swept if their process died."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.runs import environment

from xlearn.runtime.cache import Cache
from xlearn.runtime.storage import kept, unfinished, write_atomically, write_text
from xlearn.runtime.temporary import delete_dead, temporary_file, temporary_folder

DIE = """
import os, sys
from pathlib import Path
from xlearn.runtime.storage import write_atomically
write_atomically(Path(sys.argv[1]), lambda temporary: os.kill(os.getpid(), 9))
"""


def killed_while_writing(file: Path, cache: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DIE, str(file)], env=environment(cache), check=False).returncode == -9


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken(temporary):
        temporary.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "folder" / "file", broken)
    assert not list((tmp_path / "folder").iterdir())


def test_what_a_killed_process_left_is_deleted_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path))
    killed_while_writing(tmp_path / "data" / "file", tmp_path)
    [left] = unfinished().iterdir()
    with temporary_file(tmp_path / "data" / "other", unfinished()) as mine, temporary_folder("thing", unfinished()) as folder:
        (folder / "wheel").write_text("a file")
        Cache()
        assert not left.exists() and mine.exists() and (folder / "wheel").exists()  # this process lives
    assert not list(unfinished().iterdir())


def test_beside_results_it_is_deleted_by_the_next_write(tmp_path):
    killed_while_writing(tmp_path / "run" / "result.json", tmp_path / "cache")
    assert len(list((tmp_path / "run").iterdir())) == 1
    write_text(tmp_path / "run" / "result.json", "{}")
    assert [each.name for each in (tmp_path / "run").iterdir()] == ["result.json"]


def test_files_of_others_stay(tmp_path):
    names = [".hidden", ".file.other-host.1.abc", f".file.{os.uname().nodename}-1.x.abc", "plain.1.abc"]
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("")
    delete_dead(folder)
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)


@pytest.mark.slow
def test_several_processes_make_kept_data_once(tmp_path):
    import_and_keep = (
        "import sys, time, torch\nfrom xlearn.runtime.storage import kept\n"
        "def make():\n    print('made', flush=True)\n    time.sleep(1)\n    return {'a': torch.arange(5)}\n"
        "print(kept('thing', make)['a'].tolist())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", import_and_keep], env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [each.communicate()[0] for each in started]
    assert sum(out.count("made") for out in told) == 1
    assert all("[0, 1, 2, 3, 4]" in out for out in told)


def test_kept_data_are_a_map_of_the_file(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path))
    found = kept("large", lambda: {"a": torch.zeros(1_000_000)})
    assert "large.safetensors" in Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else True
    assert kept("large", dict)["a"].equal(found["a"])
