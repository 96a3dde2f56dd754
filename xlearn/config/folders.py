"""The folders of YAML files: in the repository, in the wheel, and the user's own. Imports nothing heavy."""

from pathlib import Path

import yaml

from xlearn.runtime.errors import Problem


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


def read_text(file: Path) -> str:
    """The text of a file. Raises `Problem` if it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problem(
            f"{file} is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x}). Save it as UTF-8."
        ) from error


def read_yaml(file: Path) -> dict:
    """The content of a YAML file; an empty one is an empty mapping. Raises `Problem` for other content."""
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise Problem(broken(error, str(file))) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        what = "a list" if isinstance(content, list) else f"{content!r}"
        raise Problem(f"{file} holds {what}, where a mapping is expected. Write lines such as `key: value`.")
    return content


def broken(error: yaml.YAMLError, file: str | None = None) -> str:
    """The parser's error as a sentence. `file`: its name, if the error has none."""
    mark = getattr(error, "problem_mark", None)
    where = f"{file or getattr(mark, 'name', 'A configuration file')}{f', line {mark.line + 1}' if mark else ''}"
    told = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{where}: this is no YAML ({told}). Fix this line or the one above it."
