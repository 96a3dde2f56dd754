"""The address of a phase covers all code that its numbers come from."""

from pathlib import Path

import xlearn
from xlearn.runtime.hashing import CODE, MEASURING

# What commands say, compose and keep: no number comes from there.
ELSEWHERE = (
    "__init__.py", "__main__.py", "cli.py", "commands", "config", "table", "search", "pretrain", "data/__init__.py",
    "data/options.py", "networks/__init__.py", "networks/sizes.py", "phases/__init__.py", "runtime/__init__.py",
    "runtime/cache.py", "runtime/errors.py", "runtime/fingerprints.py", "runtime/interrupt.py", "runtime/names.py",
    "runtime/storage.py",
)  # fmt: skip


def test_every_module_is_hashed_or_known_not_to_matter():
    package = Path(xlearn.__file__).parent
    listed = [*CODE, *MEASURING, *ELSEWHERE]
    assert all((package / name).exists() for name in listed)
    for file in package.rglob("*.py"):
        path = file.relative_to(package).as_posix()
        assert sum(path == name or path.startswith(f"{name}/") for name in listed) == 1, path
