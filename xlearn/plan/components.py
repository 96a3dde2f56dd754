"""The components of a run, and the networks built from them."""

import inspect
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from xlearn.data.episodes import Kind
from xlearn.data.prepare import TaskSource
from xlearn.data.task import Spec, Task
from xlearn.fusion.concat import Concat
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network
from xlearn.phases.phase import Phase
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive
from xlearn.sharing.together import Parts, join


@dataclass(frozen=True)
class Components:
    """All components of a run, built from its configuration."""

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
    # For a target of episodes: the episode spec, and the base learners of the run and of its baseline.
    kind: Kind | None = None
    base_learner: partial[Any] | None = None
    baseline_learner: partial[Any] | None = None

    @property
    def carries(self) -> bool:
        return bool(self.config["transfer"]["carry"])

    @property
    def teaches(self) -> bool:
        """Whether the sources' networks are teachers."""
        return any(phase.taught_by in ("source", "sources") for phase in self.transfer)

    @property
    def network_per_source(self) -> bool:
        """Whether a separate network is trained on each source."""
        return any(phase.taught_by == "sources" for phase in self.transfer)

    @property
    def episodic(self) -> bool:
        """Whether the target is evaluated on few-shot episodes."""
        return self.kind is not None

    @property
    def joins(self) -> bool:
        return bool(self.config["transfer"]["joins"])

    @property
    def reads_source(self) -> bool:
        """Whether the run learns from the sources: it copies their weights, uses them as teachers, or reads their examples."""
        return self.carries or self.teaches or any(phase.reads not in ("target", "unlabeled") for phase in self.transfer)

    @property
    def adapts(self) -> bool:
        """Whether a phase reads the target's unlabelled examples."""
        return any(phase.adapts for phase in self.transfer)

    def encoders_of(self, role: str) -> dict[str, partial[Any]]:
        """The encoders of the network of `role` (`target` or `source`); a teacher (`source`) may have different ones."""
        return {**self.encoders, **(self.teacher if role == "source" else {})}

    def pretrained_of(self, role: str) -> frozenset[str]:
        """The modalities with a pretrained encoder."""
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
        """A network for these modalities and label spaces, initialised from the seed and the role.

        `weights`: load the pretrained weights of the encoders. `alone`: a single modality, without the chosen fusion.
        `base_learner`: its parameters are added to the network (e.g. learned step sizes).
        """
        import torch

        seed = self.config["seed"]
        encoders = {}
        for name in sorted(specs):
            each = self.encoders_of(role)[name]
            _need_spec(each, name, specs[name])
            # Seeded per encoder, so that its initial weights do not depend on the rest of the network.
            torch.manual_seed(derive(seed, "network", role))
            encoders[name] = each(specs[name], **({"weights": None} if _brings(each) and not weights else {}))
        torch.manual_seed(derive(seed, "fusion", role))
        fusion = (Concat if alone else self.fusion)({name: each.width for name, each in encoders.items()})
        torch.manual_seed(derive(seed, "trunk", role))
        trunk = self.trunk(fusion.width)
        heads = {}
        for space in spaces:
            # Seeded per label space, so that a head's initial weights do not depend on the rest of the network.
            torch.manual_seed(derive(seed, "head", role, space.key))
            heads[space.key] = space.head(trunk.width)
        network = Network(encoders, fusion, heads, trunk)
        network.document = self._document(specs, role, alone)
        if (parts := getattr(base_learner, "parts", lambda _: None)(network)) is not None:
            network.rates = parts
        return network

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        """Add the private parameters of the tasks to `network`: by the sharing for tasks that are learned together, else the
        layers that the transfer adds for the target (`transfer.adds`).
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
        """The structure of a network, for its digest. Its weights are hashed separately."""
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
    """Whether an encoder is pretrained: by its option `weights`, or that option's default."""
    weights = inspect.signature(encoder.func).parameters.get("weights")
    return weights is not None and encoder.keywords.get("weights", weights.default) is not None


def _need_spec(encoder: partial[Any], modality: str, spec: Spec) -> None:
    """Raise `Problem` if the annotation of an encoder's `spec` names another modality."""
    function = encoder.func.__init__ if inspect.isclass(encoder.func) else encoder.func
    wanted = typing.get_type_hints(function).get("spec")
    if isinstance(wanted, type) and not isinstance(spec, wanted):
        name, reads, given = (getattr(each, "__name__", "") for each in (encoder.func, wanted, type(spec)))
        raise Problem(f"encoder.{modality}: {name} reads {reads}, and {modality} is {given} here. Choose another encoder.")
