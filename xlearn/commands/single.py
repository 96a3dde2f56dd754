"""One run from Python, by the overrides of its command, in the folder of that command."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from xlearn.commands import job
from xlearn.commands.job import failures
from xlearn.config.compose import choices, complete, composed
from xlearn.config.sentences import sentences
from xlearn.config.texts import LOOKS
from xlearn.results.files import RESULT
from xlearn.runtime.storage import write_text

# The writer of libyaml, if PyYAML was built with it, takes a tenth of the time.
if TYPE_CHECKING:
    from yaml import SafeDumper as FastDumper
else:
    FastDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Dumper(FastDumper):
    """Quotes texts that OmegaConf would read as numbers: PyYAML takes `1e5` for a text."""

    def text(self, value: str) -> Any:
        style = "'" if LOOKS.fullmatch(value) else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, Dumper.text)


def content_of(overrides: Sequence[str], folders: list[Path]) -> tuple[dict[str, Any], Path]:
    """(the composed configuration with its `choices`, the folder of its run). Call `register` before."""
    config = composed(overrides, folders)
    with sentences(folders):
        return {**complete(config), "choices": choices(config.hydra)}, Path(config.hydra.run.dir).absolute()


def run(overrides: Sequence[str], folders: list[Path]) -> tuple[dict[str, Any], Path]:
    """(the result of a run, its folder, which is that of the command). A finished run is read, not repeated. Any failure writes
    `error.txt` to the folder and raises `Problem`.
    """
    content, folder = content_of(overrides, folders)
    with failures(folder, words=True):
        write_configuration(content, folder)
        return job.run(content, folder, multirun=False)[0], folder


def write_configuration(content: dict[str, Any], folder: Path) -> None:
    """Write the configuration of a run that is not finished: tables read it from `.hydra`, as Hydra writes it."""
    if not (folder / RESULT).is_file():
        own = {name: value for name, value in content.items() if name != "choices"}
        chosen = {"hydra": {"runtime": {"choices": content["choices"]}}}
        write_text(folder / ".hydra" / "config.yaml", yaml.dump(own, Dumper=Dumper, sort_keys=False))
        write_text(folder / ".hydra" / "hydra.yaml", yaml.dump(chosen, Dumper=Dumper))
