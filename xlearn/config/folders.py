"""Where the YAML lies: in the repository, in the wheel, and in the user's own folders. Imports nothing heavy."""

from pathlib import Path

import yaml


def conf_folder() -> Path:
    """`conf/` beside the package in a checkout, inside the package when installed from a wheel."""
    inside = Path(__file__).parents[1] / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "conf"


def options(group: str, folders: list[Path]) -> dict[str, Path]:
    """The options of a group (`transfer`, `encoder/image`, ...), name to file; later folders win."""
    return {file.stem: file for folder in folders for file in sorted((folder / group).glob("*.yaml"))}


def groups(folders: list[Path]) -> list[str]:
    """Every group, sorted."""
    found = {str(file.parent.relative_to(folder)) for folder in folders for file in folder.rglob("*.yaml")}
    return sorted(found - {"."})


def read_yaml(file: Path) -> dict:
    """The content of a YAML file; an empty one is an empty mapping."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
