"""Private modules: copies of the network's modules, one per task."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.sharing import Structure
from xlearn.sharing.blocks import owner, part_key


class Private(Structure):
    """Private modules at each path in `of`: one of its tasks uses the network's own module, the others have copies, which are
    equal at the start.
    """

    def __init__(self, network: Network, of: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.of = dict(of)
        self.copies = nn.ModuleDict()
        self.paths: dict[str, list[str]] = {}
        for path, roles in of.items():
            for role in roles:
                if role != owner(roles):
                    self.copies[part_key(role, path)] = copy.deepcopy(network.get_submodule(path))
                    self.paths.setdefault(role, []).append(path)
        self.below = any(not path.startswith("head.") for path in of)
        self.modalities = {path.split(".")[1] for path in of if path.startswith("encoder.")}

    def module(self, network: Network, path: str, role: str) -> nn.Module:
        """The task's module at this path."""
        if path in self.paths.get(role, ()):
            return self.copies[part_key(role, path)]
        return network.get_submodule(path)

    def private(self) -> dict[str, "Private"]:
        return {"": self}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        paths = self.paths.get(batch.task, ())
        return {network.get_submodule(path): self.module(network, path, batch.task).__call__ for path in paths}

    def stand_ins(self) -> dict[str, str]:
        """Maps each private-copy parameter to the network's parameter it replaces."""
        found = {}
        for role, paths in self.paths.items():
            for path in paths:
                copied = self.copies[part_key(role, path)]
                found |= {f"copies.{part_key(role, path)}.{name}": f"{path}.{name}" for name, _ in copied.named_parameters()}
        return found

    def merge(self, network: Network, task: str) -> bool:
        for path in self.paths.get(task, ()):
            network.get_submodule(path).load_state_dict(self.module(network, path, task).state_dict())
        return True


def unshared(network: nn.Module, shared: set[str], prefix: str = "") -> list[str]:
    """The paths of the largest modules without parameters in `shared`. Raises `Problem` for a module that has both shared and
    unshared parameters itself.
    """
    found: list[str] = []
    for name, child in network.named_children():
        path = f"{prefix}{name}"
        names = [f"{path}.{each}" for each, _ in child.named_parameters()]
        if not names or shared.issuperset(names):
            continue
        # Lists and dictionaries of modules are never called.
        if shared.isdisjoint(names) and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            found.append(path)
            continue
        own = [each for each, _ in child.named_parameters(recurse=False) if f"{path}.{each}" not in shared]
        if own:
            raise Problem(
                f"sharing: {path}.{own[0]} cannot be private while other parameters of {path} are shared. Share all "
                f"parameters of {path} or none."
            )
        found += unshared(child, shared, f"{path}.")
    return found


def batch_norms(module: nn.Module) -> list[str]:
    """The paths of batch normalisation layers."""
    return [path for path, each in module.named_modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
