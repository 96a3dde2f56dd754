"""Digests and seeds that follow from what they stand for."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

# A change in any of these may change a phase's result. (Data are fingerprinted; the user's own modules are added.)
CODE = (
    "data/augment", "data/batches.py", "data/columns.py", "data/episodes.py", "data/modalities", "data/prepare.py",
    "data/splits.py", "data/task.py", "data/unlabeled.py", "phases/checkpoints_by_rule.py", "phases/encoder_cache.py",
    "phases/few_shot.py", "phases/fit.py", "phases/monitor.py", "phases/phase.py", "phases/solve.py",
    "phases/teacher_outputs.py", "phases/training.py", "networks/evaluate.py", "networks/network.py", "networks/outputs.py",
    "metrics", "runtime/hashing.py", "runtime/machine.py", "runtime/randomness.py", "base_learners", "encoders", "fusion",
    "trunks", "sharing", "trainable", "objectives", "balance", "schedules", "averaging", "selection", "solvers",
)  # fmt: skip

# What makes a result of phases: a change makes a finished run be measured again, but no phase be computed again.
MEASURING = (
    "pipeline.py", "results", "learners", "plan", "robustness", "data/leakage.py", "data/tasks", "phases/feasible.py",
    "phases/feasible_kinds.py",
)  # fmt: skip


def digest(content: Any, size: int = 8) -> str:
    """blake2b of the canonical JSON of `content`, as `2 * size` hexadecimal digits."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=size).hexdigest()


def derive(seed: int, *labels: str | int) -> int:
    """A seed in [0, 2^63) for one use, from the run's seed and what the use is called."""
    content = "\x1f".join(str(label) for label in (seed, *labels)).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") >> 1


@lru_cache
def code_digest(*beside: str) -> str:
    """blake2b over the source of all that takes part in training, and of the modules `beside` it."""
    package = Path(__file__).parents[1]
    content = hashlib.blake2b(digest_size=8)
    for name in (*CODE, *beside):
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            content.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()
