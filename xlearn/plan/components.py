"""The components of a run, and the networks built from them."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

from torch import nn

from xlearn.data.formats import spec_of
from xlearn.data.provenance import Provenance
from xlearn.data.reads import groups
from xlearn.data.task import Spec, Task
from xlearn.data.task_source import TaskSource
from xlearn.fusion.concat import Concat
from xlearn.label_spaces import LabelSpace
from xlearn.measuring import Measuring
from xlearn.networks.network import Network
from xlearn.phases.phase import Phase
from xlearn.plan.structures import Structure
from xlearn.pretrain import Start
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.hashing import derive


@dataclass(frozen=True)
class Options:
    """The settings of a run that are no components. `modalities`: the form in which encoders read each modality."""

    seed: int
    metric: str
    evaluations: int
    statistics: str
    checkpoint_seconds: float
    force: bool
    modalities: Mapping[str, Any]


# The fusion of a network with a single modality.
ALONE = partial(Concat)
vars(ALONE)["address"] = "xlearn.fusion.Concat"


@dataclass(frozen=True)
class Components:
    """All components of a run, built from its configuration. Behind it, nothing reads the configuration.

    `names`: the chosen options by group, for messages and the result. `label_space`: what the target must predict. `carries`:
    whether weights are copied from the source's network. `structure`: the private parameters that the target's network has in
    addition. `start`: the initial weights of the source's network. `comparisons`: networks that the transfer adds to the usual
    comparisons.
    """

    options: Options
    names: Mapping[str, str]
    sources: tuple[TaskSource, ...]
    target: TaskSource
    label_space: type[LabelSpace]
    encoders: dict[str, partial[Any]]
    teacher: dict[str, partial[Any]]
    fusion: partial[Any]
    trunk: partial[Any]
    sharing: partial[Any]
    carries: bool
    structure: Structure
    start: Start
    pretrain: tuple[Phase, ...]
    transfer: tuple[Phase, ...]
    baseline: tuple[Phase, ...]
    measuring: Measuring
    baseline_measuring: Measuring
    comparisons: tuple[Any, ...]
    robustness: dict[str, partial[Any]]

    @cached_property
    def teaches(self) -> bool:
        """Whether the sources' networks are teachers."""
        return any({"source", "sources"} & {*phase.teachers} for phase in self.transfer)

    @property
    def network_per_source(self) -> bool:
        """Whether a separate network is trained on each source."""
        return any("sources" in phase.teachers for phase in self.transfer)

    @property
    def reads_source(self) -> bool:
        """Whether the run learns from the sources: it copies their weights, uses them as teachers, or reads their examples."""
        return self.carries or self.teaches or any(phase.reads_sources for phase in self.transfer)

    @property
    def reads_target(self) -> bool:
        """Whether a phase reads examples of the target, labelled or not."""
        return any("target" in groups(phase.reads) for phase in self.used())

    @property
    def uses_source_network(self) -> bool:
        """Whether the run's network gets weights or outputs of the sources' network, which begins with `start`."""
        return self.carries or self.teaches

    def learned_by_start(self) -> Provenance:
        """The examples that the weights of `start` have learned from, if the run uses them."""
        return self.start.provenance() if self.uses_source_network else Provenance()

    def learned_before(self) -> Provenance:
        """The examples that all initial weights have learned from; those of published encoders are unknown."""
        brought = dict.fromkeys(self.pretrained_of("target"), "target")
        brought |= dict.fromkeys(self.pretrained_of("source"), "source") if self.uses_source_network else {}
        published = [f"encoder.{name}={self.encoders_of(role)[name].func.__name__}" for name, role in sorted(brought.items())]
        return self.learned_by_start().joined(Provenance(unknown=tuple(published)))

    @property
    def adapts(self) -> bool:
        """Whether a phase reads the target's unlabelled examples."""
        return any(phase.adapts for phase in self.transfer)

    @property
    def transfer_name(self) -> str:
        """The transfer, for messages."""
        return f"transfer={self.names.get('transfer')}"

    def used(self) -> tuple[Phase, ...]:
        """The phases that determine the run's own network."""
        return (*self.transfer, *(self.pretrain if self.carries or self.teaches else ()))

    def encoders_of(self, role: str) -> dict[str, partial[Any]]:
        """The encoders of the network of `role` (`target` or `source`); a teacher (`source`) may have different ones."""
        return {**self.encoders, **(self.teacher if role == "source" else {})}

    def pretrained_of(self, role: str) -> frozenset[str]:
        """The modalities with a pretrained encoder."""
        return frozenset(name for name, each in self.encoders_of(role).items() if _brings(each))

    def rates_of(self, role: str, modalities: Iterable[str]) -> dict[str, float]:
        """The multipliers of the learning rate of those of the encoders that are pretrained, where they are not 1."""
        found = {name: rate_of(self.encoders_of(role)[name]) for name in modalities if name in self.pretrained_of(role)}
        return {name: rate for name, rate in found.items() if rate != 1}

    def network(
        self,
        specs: Mapping[str, Spec],
        spaces: Sequence[LabelSpace],
        role: str,
        weights: bool,
        alone: bool = False,
        parts: Sequence[Callable[[Network], dict[str, nn.Module]]] = (),
    ) -> Network:
        """A network for these modalities and label spaces, initialised from the seed and the role.

        `weights`: load the pretrained weights of the encoders. `alone`: a single modality, without the chosen fusion. `parts`:
        functions that return further modules of the network, by name (e.g. learned step sizes).
        """
        import torch

        seed = self.options.seed
        encoders = {}
        for name in sorted(specs):
            each = self.encoders_of(role)[name]
            _need_spec(each, name, specs[name])
            # Seeded per encoder, so that its initial weights do not depend on the rest of the network.
            torch.manual_seed(derive(seed, "network", role))
            encoders[name] = each(specs[name], **({"weights": None} if _brings(each) and not weights else {}))
        torch.manual_seed(derive(seed, "fusion", role))
        fusion = (ALONE if alone else self.fusion)({name: each.width for name, each in encoders.items()})
        torch.manual_seed(derive(seed, "trunk", role))
        trunk = self.trunk(fusion.width)
        heads = {}
        for space in spaces:
            # Seeded per label space, so that a head's initial weights do not depend on the rest of the network.
            torch.manual_seed(derive(seed, "head", role, space.key))
            heads[space.key] = space.head(trunk.width)
        network = Network(encoders, fusion, heads, trunk)
        network.document = self._document(specs, role, alone)
        network.encoder_rates = self.rates_of(role, specs) if weights else {}
        for made in parts:
            for name, module in made(network).items():
                network.add_module(name, module)
        return network

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        """Add the private parameters of the tasks to `network`."""
        import torch

        torch.manual_seed(derive(self.options.seed, "sharing"))
        self.structure.join(network, tasks)
        named = {role: [sorted(task.inputs), task.labels.key] for role, task in tasks.items()}
        network.document = {**network.document, **self.structure.document(named)}

    def _document(self, specs: Mapping[str, Spec], role: str, alone: bool) -> dict[str, Any]:
        """The structure of a network, for its digest. Its weights are hashed separately."""
        encoders = {}
        for name in specs:
            node = described(self.encoders_of(role)[name])
            arguments = {key: each for key, each in node["arguments"].items() if key not in ("weights", "rate")}
            encoders[name] = {**node, "arguments": arguments}
        return {
            "encoder": encoders,
            "fusion": described(ALONE if alone else self.fusion),
            "trunk": described(self.trunk),
            "specs": {name: asdict(spec) for name, spec in specs.items()},
        }


def _brings(encoder: partial[Any]) -> bool:
    """Whether an encoder is pretrained: by its option `weights`, or that option's default."""
    weights = inspect.signature(encoder.func).parameters.get("weights")
    return weights is not None and encoder.keywords.get("weights", weights.default) is not None


def rate_of(encoder: partial[Any]) -> float:
    """The multiplier of the learning rate that an encoder declares for its pretrained weights: its option `rate`, or that
    option's default; 1 without one.
    """
    rate = inspect.signature(encoder.func).parameters.get("rate")
    return 1.0 if rate is None else float(encoder.keywords.get("rate", rate.default))


def _need_spec(encoder: partial[Any], modality: str, spec: Spec) -> None:
    """Raise `Problem` if the annotation of an encoder's `spec` names another modality."""
    wanted = spec_of(encoder)
    if wanted is not None and not isinstance(spec, wanted):
        name, reads, given = (getattr(each, "__name__", "") for each in (encoder.func, wanted, type(spec)))
        raise Problem(f"encoder.{modality}: {name} reads {reads}, and {modality} is {given} here. Choose another encoder.")
