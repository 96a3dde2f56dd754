"""The components of a run, and the networks that are made of them."""

import inspect
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from xlearn.data.episodes import Kind
from xlearn.data.prepare import TaskSource
from xlearn.data.task import LabelSpace, Spec, Task
from xlearn.fusion.concat import Concat
from xlearn.networks.network import Network
from xlearn.phases.phase import Phase
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive
from xlearn.sharing.together import Parts, join


@dataclass(frozen=True)
class Components:
    """A run, ready to start: components instead of configuration."""

    config: dict[str, Any]
    sources: tuple[TaskSource, ...]
    target: TaskSource
    encoders: dict[str, partial[Any]]
    teacher: dict[str, partial[Any]]
    fusion: partial[Any]
    trunk: partial[Any]
    sharing: partial[Any]
    adds: partial[Any] | None
    start: partial[Any] | None
    pretrain: tuple[Phase, ...]
    transfer: tuple[Phase, ...]
    baseline: tuple[Phase, ...]
    robustness: dict[str, partial[Any]]
    # Where the target is many tasks of few examples: what they are like, and what learns them, in the run and its baseline.
    kind: Kind | None = None
    base_learner: partial[Any] | None = None
    baseline_learner: partial[Any] | None = None

    @property
    def carries(self) -> bool:
        return bool(self.config["transfer"]["carry"])

    @property
    def teaches(self) -> bool:
        """Whether the sources' networks teach."""
        return any(phase.taught_by in ("source", "sources") for phase in self.transfer)

    @property
    def network_per_source(self) -> bool:
        """Whether each source has a network of its own."""
        return any(phase.taught_by == "sources" for phase in self.transfer)

    @property
    def episodic(self) -> bool:
        """Whether the target is many tasks of few examples."""
        return self.kind is not None

    @property
    def joins(self) -> bool:
        return bool(self.config["transfer"]["joins"])

    @property
    def reads_source(self) -> bool:
        """Whether a run learns from the sources: to carry something over, or because a phase reads them."""
        return self.carries or self.teaches or any(phase.reads not in ("target", "unlabeled") for phase in self.transfer)

    @property
    def adapts(self) -> bool:
        """Whether a phase reads the target's unlabelled examples."""
        return any(phase.adapts for phase in self.transfer)

    def encoders_of(self, role: str) -> dict[str, partial[Any]]:
        """The encoders of the target's networks, or of the sources' (`source`), which may be others where they teach."""
        return {**self.encoders, **(self.teacher if role == "source" else {})}

    def pretrained_of(self, role: str) -> frozenset[str]:
        """The modalities whose encoders bring weights of their own."""
        return frozenset(name for name, each in self.encoders_of(role).items() if _brings(each))

    def network(
        self,
        specs: Mapping[str, Spec],
        spaces: list[LabelSpace],
        role: str,
        weights: bool,
        alone: bool = False,
        base_learner: Any = None,
    ) -> Network:
        """A network for these modalities and label spaces, drawn from the seed and the role.

        `weights`: with the encoders' own. `alone`: a single modality, joined by nothing, whatever fusion is chosen.
        `base_learner`: with what it adds to the network.
        """
        import torch
        from torch import nn

        seed = self.config["seed"]
        encoders = {}
        for name in sorted(specs):
            each = self.encoders_of(role)[name]
            _need_spec(each, name, specs[name])
            # Anew for every encoder, so that one is the same whatever else the network has.
            torch.manual_seed(derive(seed, "network", role))
            encoders[name] = each(specs[name], **({"weights": None} if _brings(each) and not weights else {}))
        torch.manual_seed(derive(seed, "fusion", role))
        fusion = (Concat if alone else self.fusion)({name: each.width for name, each in encoders.items()})
        torch.manual_seed(derive(seed, "trunk", role))
        trunk = self.trunk(fusion.width)
        heads = {}
        for space in spaces:
            # By label space, so that the head of a task is the same whatever else the network has.
            torch.manual_seed(derive(seed, "head", role, space.key))
            heads[space.key] = nn.Linear(trunk.width, len(space.classes))
        network = Network(encoders, fusion, heads, trunk)
        network.document = self._document(specs, role, alone)
        if (parts := getattr(base_learner, "parts", lambda _: None)(network)) is not None:
            network.rates = parts
        return network

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        """Give every task of a network that learns them together what it does not share with the others; the target alone
        what the transfer adds.
        """
        import torch

        torch.manual_seed(derive(self.config["seed"], "sharing"))
        sharing, node = (
            (self.sharing, self.config["sharing"]) if self.adds is None else (self.adds, self.config["transfer"]["adds"])
        )
        statistics = self.config["joint"]["statistics"]
        if self.adds is None:
            join(network, sharing, tasks, statistics)
        else:
            network.sharing = Parts([sharing(network, tasks)])
        named = {role: [sorted(task.inputs), task.labels.key] for role, task in tasks.items()}
        shared = [node, statistics, named]
        network.document = {**network.document, "sharing": shared}

    def _document(self, specs: Mapping[str, Spec], role: str, alone: bool) -> dict[str, Any]:
        """What a network is made of, without the weights it may bring: those are hashed as they are."""
        encoders = {}
        for name in specs:
            nodes = self.config["teacher"] if role == "source" and name in self.teacher else self.config["encoder"]
            encoders[name] = {key: value for key, value in nodes[name].items() if key != "weights"}
        return {
            "encoder": encoders,
            "fusion": {"_target_": "xlearn.fusion.Concat"} if alone else self.config["fusion"],
            "trunk": self.config["trunk"],
            "specs": {name: asdict(spec) for name, spec in specs.items()},
        }


def _brings(encoder: partial[Any]) -> bool:
    """Whether an encoder begins with weights of its own: by its option `weights`, or that option's default."""
    weights = inspect.signature(encoder.func).parameters.get("weights")
    return weights is not None and encoder.keywords.get("weights", weights.default) is not None


def _need_spec(encoder: partial[Any], modality: str, spec: Spec) -> None:
    """Raise where an encoder says by its annotation that it reads another modality."""
    function = encoder.func.__init__ if inspect.isclass(encoder.func) else encoder.func
    wanted = typing.get_type_hints(function).get("spec")
    if isinstance(wanted, type) and not isinstance(spec, wanted):
        name, reads, given = (getattr(each, "__name__", "") for each in (encoder.func, wanted, type(spec)))
        raise Problem(f"encoder.{modality}: {name} reads {reads}, and {modality} is {given} here. Choose another encoder.")
