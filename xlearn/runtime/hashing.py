"""Digests of content, and seeds for single uses."""

import hashlib
import json
from typing import Any


def digest(content: Any, size: int = 8) -> str:
    """blake2b of the canonical JSON of `content`, as `2 * size` hexadecimal digits."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=size).hexdigest()


def derive(seed: int, *labels: str | int) -> int:
    """A seed in [0, 2^63) for one use, from the run's seed and the labels that name the use."""
    content = "\x1f".join(str(label) for label in (seed, *labels)).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") >> 1
