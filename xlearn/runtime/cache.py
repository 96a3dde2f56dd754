"""Results of phases, addressed by everything that determines them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xlearn.runtime.errors import Problem
from xlearn.runtime.locks import locked
from xlearn.runtime.storage import cache_root, read_tensors, unfinished, write_atomically, write_tensors, write_text
from xlearn.runtime.temporary import delete_dead


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """blake2b over names, types, shapes and bytes: equal for equal weights only."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        value = weights[name].contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A finished phase: its weights, their digest, and its report (`records`, `seconds`, `steps`, ...).

    `others`: by task, its weights at its best step, where tasks are selected separately.
    """

    weights: dict[str, Tensor]
    digest: str
    report: dict[str, Any]
    others: dict[str, dict[str, Tensor]] = field(default_factory=dict)


class Cache:
    """`phases/<key>/` holds `weights.safetensors` and, written last, `entry.json`; `resume.pt` while it is computed."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or cache_root()) / "phases"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(
                f"{self.root} cannot be written ({error.strerror}). Set XLEARN_CACHE to a folder that can."
            ) from error
        delete_dead(unfinished())

    def folder(self, key: str) -> Path:
        return self.root / key[:2] / key

    def locked(self, key: str) -> AbstractContextManager[bool]:
        """Only one process at a time works on this entry."""
        return locked(self.folder(key) / "lock", f"computing phase {key[:12]}")

    def read(self, key: str) -> Entry | None:
        """The entry, or None. A damaged entry (unreadable, or with another digest) is reported and removed, and gives None."""
        folder = self.folder(key)
        if not (folder / "entry.json").is_file():
            return None
        try:
            report = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
            weights = read_tensors(folder / "weights.safetensors")
            digest = weights_digest(weights)
            if digest != report["digest"]:
                raise ValueError("its weights are not the ones that were written")
        except Exception as error:  # whatever the damage, the entry is computed again
            print(f"cache: the entry {key[:12]} is damaged ({error}); it is computed again.", flush=True)
            for name in ("entry.json", "weights.safetensors"):  # but not the lock, which this process holds
                (folder / name).unlink(missing_ok=True)
            return None
        return Entry(weights, digest, report)

    def write(self, key: str, weights: dict[str, Tensor], report: dict[str, Any]) -> Entry:
        folder = self.folder(key)
        digest = weights_digest(weights)
        (folder / "entry.json").unlink(missing_ok=True)
        write_tensors(folder / "weights.safetensors", weights)
        report = {**report, "digest": digest}
        write_text(folder / "entry.json", json.dumps(report, indent=1))
        (folder / "resume.pt").unlink(missing_ok=True)
        return Entry(weights, digest, report)

    def write_state(self, key: str, state: dict[str, Any]) -> None:
        """Save the state from which an unfinished phase resumes: plain containers and tensors."""
        write_atomically(self.folder(key) / "resume.pt", lambda temporary: torch.save(state, temporary))

    def read_state(self, key: str) -> dict[str, Any] | None:
        file = self.folder(key) / "resume.pt"
        if not file.is_file():
            return None
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a state that cannot be read costs time, never the result
            print(f"cache: the saved state of {key[:12]} is damaged ({error}); the phase starts again.", flush=True)
            file.unlink(missing_ok=True)
            return None
