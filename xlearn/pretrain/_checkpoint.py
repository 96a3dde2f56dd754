"""Weights from a file or an earlier run, with an explicit mapping of names."""

from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor

from xlearn.networks.network import Network
from xlearn.pretrain import from_run
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import read_tensors


@from_run("path")
def checkpoint(
    network: Network, *, path: str, names: dict[str, str | None] | None = None, fresh: list[str] | None = None
) -> dict[str, Tensor]:
    """Weights for `network` from `path`: `.safetensors`, a state dictionary, or the folder of an earlier run.

    `names` maps prefixes of the file's names to prefixes of ours (the longest match; null drops), as in
    `{features.: encoder.image.blocks., fc.: null}`. Strict: each tensor of the file must have a name and shape of the network,
    and each tensor of the network must be in the file, except heads and names that match a pattern of `fresh`.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        file = file / "weights.safetensors"
    own = network.state_dict()
    landed = {}
    for name, value in read_tensors(file).items():
        if (mapped := _mapped(name, names or {})) is not None:
            landed[mapped] = value
    # A head of another label space belongs to another task, not to this network.
    landed = {name: value for name, value in landed.items() if name in own or not name.startswith("head.")}
    optional = ["head.*", *(fresh or [])]
    missing = [name for name in own if name not in landed and not any(fnmatchcase(name, each) for each in optional)]
    extra = [name for name in landed if name not in own]
    shapes = [
        f"{name} {tuple(value.shape)} in the file, {tuple(own[name].shape)} here"
        for name, value in landed.items()
        if name in own and value.shape != own[name].shape
    ]
    if missing or extra or shapes:
        parts = [
            f"{what} ({len(found)}): {', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
            for what, found in (("missing", missing), ("too much", extra), ("other shape", shapes))
            if found
        ]
        raise Problem(
            f"pretrain.start.path={path} does not fit the network.\n  " + "\n  ".join(parts) + "\n  Map names with "
            "pretrain.start.names={old.: new.}, drop with null, or allow missing ones with pretrain.start.fresh=[pattern]."
        )
    return landed


def _mapped(name: str, names: dict[str, str | None]) -> str | None:
    fitting = [prefix for prefix in names if name.startswith(prefix)]
    if not fitting:
        return name
    prefix = max(fitting, key=len)
    new = names[prefix]
    return None if new is None else new + name[len(prefix) :]
