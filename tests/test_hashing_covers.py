"""The address of a phase covers all code that its numbers come from."""

from pathlib import Path

import xlearn
from xlearn.hashing import CODE, MEASURING

# What commands say, compose and keep: no number comes from there.
ELSEWHERE = {
    "__init__.py", "__main__.py", "cli.py", "train.py", "check.py", "show.py", "summary.py", "cache.py", "interrupt.py",
    "errors.py", "storage.py", "stamps.py", "metric_names.py", "rule_names.py", "sizes.py", "modality_options.py",
    "task_options.py", "episode_options.py", "amounts.py", "config", "table", "search", "pretrain",
}  # fmt: skip


def test_every_module_is_hashed_or_known_not_to_matter():
    package = Path(xlearn.__file__).parent
    found = {each.name for each in package.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()}
    listed = [*CODE, *MEASURING, *ELSEWHERE]
    assert len(listed) == len(set(listed))
    assert found == set(listed)
