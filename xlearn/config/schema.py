"""The typed schema of a run. Hydra checks keys and types of overrides against it; defaults are in `conf/train.yaml`.

Fields of type `Any` are components (`_target_` and its arguments), checked against the signature of their target
(see `component`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING

from xlearn.data.options import AudioOptions, EpisodeOptions, ImageOptions, TabularOptions, TextOptions


@dataclass
class PhaseConfig:
    """One phase. Null: the value at the top of the configuration, or that of the budget."""

    # The views of tasks that the phase reads, a list: source, target (labelled examples), target.unlabeled (the target's
    # unlabelled examples), source.inputs, target.inputs (all training examples, without labels). Null: [source] in pretrain,
    # [target] in transfer.
    reads: Any = None
    modalities: list[str] | None = None  # the modalities that the phase reads; null: all
    trainable: Any = None  # the parameters that are trained, with multipliers of the learning rate; null: all
    # source (one network of all sources) | sources (one each) | an earlier phase
    teachers: list[str] = field(default_factory=list)
    start_from: str = "previous"  # the weights of the previous phase | start: those that the chain started from
    objective: Any = None  # the loss; null: as at the top
    penalties: dict[str, Any] = field(default_factory=dict)  # further losses that are added, by name
    optimizer: Any = None  # null: as at the top
    schedule: Any = None  # the learning rate's schedule; null: as at the top
    augment: bool = True  # whether batches are augmented
    batches: Any = None  # the batches of each step; without _target_: arguments that differ from those at the top
    base_learner: Any = None  # the learner of an episode; null: the phase reads no episodes
    clip: float | None = None  # the largest norm of the gradient; longer ones are scaled down to it. Null: not clipped
    solver: Any = None  # computes the weights in closed form instead of the training loop; null: the loop
    merge: Any = None  # the weights that the phase returns, from (initial, trained); null: trained
    epochs: float | None = None  # passes over the largest task; null: as in the budget
    steps: int | None = None  # optimizer steps, instead of epochs; null: as in the budget
    patience: int | None = None  # validations without a better score, after which the phase ends; null: as in the budget
    stop_below: float | None = None  # the phase ends when its objective falls below this value; null: as in the budget
    keep: str | None = None  # which weights are kept (as budget.transfer.keep); null: as in the budget


@dataclass
class ChainConfig:
    """`pretrain` and `transfer`: a chain of phases, and its initial weights."""

    start: Any = None  # pretrain: a component that loads the initial weights
    carry: bool = True  # transfer: whether parameters are copied from the source's network
    adds: Any = None  # transfer: a structure that is added to the target's network (low-rank parts, adapters)
    joins: bool = False  # transfer: whether source and target are learned together, in one network
    measuring: Any = None  # transfer: how networks are measured on the target; null: on its test split
    base_learner: Any = None  # transfer: the learner of each measured episode; null: that of pretraining
    # transfer: networks to compare with, besides the usual ones, by name
    comparisons: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, PhaseConfig] = field(default_factory=dict)  # the phases by name, in their order


@dataclass
class StageBudget:
    """How long the phases of a chain last, and which weights they keep.

    A phase that adapts to unlabelled examples keeps by a rule of `xlearn.selection`, another one by a validation split.
    """

    epochs: float | None = None  # passes over the largest task of the phase
    steps: int | None = None  # optimizer steps, instead of epochs
    patience: int | None = None  # validations without a better score, after which the phase ends; null: never
    stop_below: float | None = None  # the phase ends when its objective falls below this value; null: never
    # Which weights are kept: last | by the validation split best_source (mean over the sources), best_target, best_mean (mean
    # over all tasks of the phase), best_each (each task its own). Phases that adapt without labels: last | source_val |
    # importance_weighted | dev | entropy | infomax | snd | mixval | oracle (needs target labels).
    keep: str = "last"


@dataclass
class BudgetConfig:
    pretrain: StageBudget = field(default_factory=StageBudget)
    transfer: StageBudget = field(default_factory=StageBudget)


@dataclass
class JointConfig:
    """How a phase reads several tasks."""

    tasks: str = "all"  # all tasks in every step | proportional | equal | temperature: one drawn per step
    temperature: float = 2.0  # with tasks=temperature: drawn by size to the power 1 / temperature
    common: bool = True  # tasks on the same examples share their batch, which is encoded once
    statistics: str = "shared"  # batch normalisation statistics: shared by the tasks | one set per task


# Marks fields that do not change a run's numbers: they are no part of its identity.
NOT_IDENTITY = {"identity": False}


@dataclass
class TrainConfig:
    """Everything that `xlearn train` reads."""

    experiment: str = field(default="default", metadata=NOT_IDENTITY)
    seed: int = 0
    force: bool = field(default=False, metadata=NOT_IDENTITY)
    device: str = field(default="auto", metadata=NOT_IDENTITY)  # auto | cpu | cuda | cuda:N | mps
    precision: str = "fp32"  # fp32 | bf16 | fp16
    threads: int | None = field(default=None, metadata=NOT_IDENTITY)
    workers: int | None = field(default=None, metadata=NOT_IDENTITY)
    devices: list[str] | None = field(default=None, metadata=NOT_IDENTITY)
    evaluations: int = 10
    checkpoint_seconds: float = field(default=20.0, metadata=NOT_IDENTITY)
    metric: str = MISSING
    batch_size: int = 64
    sampling: str = "shuffled"  # shuffled | balanced
    normalization_statistics: str = "exact"  # exact | running
    joint: JointConfig = field(default_factory=JointConfig)
    episodes: EpisodeOptions = field(default_factory=EpisodeOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    text: TextOptions = field(default_factory=TextOptions)
    audio: AudioOptions = field(default_factory=AudioOptions)
    tabular: TabularOptions = field(default_factory=TabularOptions)
    source: dict[str, Any] = field(default_factory=dict)
    target: Any = None
    label_space: Any = field(default=None, metadata=NOT_IDENTITY)  # follows from the target
    encoder: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)
    fusion: Any = None
    trunk: Any = None
    sharing: Any = None
    pretrain: ChainConfig = field(default_factory=ChainConfig)
    transfer: ChainConfig = field(default_factory=ChainConfig)
    baseline: ChainConfig = field(default_factory=ChainConfig)
    objective: Any = None
    regularizer: Any = None
    balance: Any = None
    batches: Any = None
    optimizer: Any = None
    schedule: Any = None
    augment: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    robustness: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] = field(default_factory=dict)
    budget: BudgetConfig = field(default_factory=BudgetConfig)


_BESIDE = {"choices", "hydra", *(each.name for each in fields(TrainConfig) if not each.metadata.get("identity", True))}


def identity(config: Mapping[str, Any], plain: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """The part of a configuration that determines a run's numbers; its digest identifies the run. Null and empty values are
    left out, so that a key added to the schema later, null by default, changes no digest. `plain` is applied to each value:
    it turns Hydra's nodes into Python containers.
    """
    return _given({str(name): plain(config[name]) for name in config if str(name) not in _BESIDE})


def is_identity(key: str) -> bool:
    """Whether a key, as in an override, changes a run's numbers."""
    return key.lstrip("+~").partition("=")[0].partition(".")[0] not in _BESIDE


# Arguments of components (of tasks, of encoder/tabular) that earlier versions did not have, with the value that says what these
# did. With that value they change no digest.
LATER = {"draw": None, "categories": None, "duplicates": "together"}


def _given(node: Any) -> Any:
    """A node without null and empty values. In a component's node null is an argument, and stays."""
    if not isinstance(node, dict):
        return node
    if "_target_" in node:
        return {name: value for name, value in node.items() if name not in LATER or value != LATER[name]}
    found = {name: _given(value) for name, value in node.items()}
    return {name: value for name, value in found.items() if value is not None and value != {}}


# Groups of which several options can be chosen, or none.
LISTS = ("source", "augment", "robustness", "comparison")

# The group of presets for the phases of a transfer: chosen by `trainable@transfer.phases.NAME.trainable=OPTION`.
PRESETS = "trainable"
# The group of label spaces: defaults of metric, objective, shots and others. A task's file names its own with this key.
LABEL_SPACE = "label_space"
# Groups that other options choose, for a node inside them or for the whole run (`/batches@phases.meta.batches: episodes`).
_NOT_OWN = ("hydra/", f"{PRESETS}@", "batches@", "measuring@", LABEL_SPACE)
# The encoders of a network that is compared with the run's: parts of an option of `comparison`.
_WITHIN = "@comparison."


def own_choices(chosen: Mapping[Any, Any]) -> dict[str, str]:
    """A run's choices: those of Hydra without Hydra's own groups, and without those that follow from the options that name
    them: what stands inside a phase or a chain, and the label space.
    """
    named = {str(group): str(option) for group, option in chosen.items()}
    return {group: option for group, option in named.items() if not group.startswith(_NOT_OWN) and _WITHIN not in group}


# `teacher/image=same`: the encoder of the teacher is that of `encoder/image`.
SAME = "same"

# Runs that differ in these keys only are repetitions (replicates).
DRAW = "target.draw"
REPLICATES = ("seed", DRAW, "target.fold")
