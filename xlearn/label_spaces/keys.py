"""The identity of a head, made of names."""

import hashlib


def key_of(name: str, classes: tuple[str, ...]) -> str:
    """The name, and a digest of the classes in their order, safe in names of parameters."""
    digest = hashlib.blake2b("\x1f".join(classes).encode(), digest_size=3).hexdigest()
    return f"{name.replace('.', '_')}{len(classes)}_{digest}"
