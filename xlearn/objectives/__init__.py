"""Objectives: `(network, batches by role) -> {name: scalar loss}`.

A function is called directly. A class inherits from `Objective`, and is built with a `PhaseContext` when its phase begins; it
may hold parameters and state, which are trained, saved and resumed with the phase.

An objective declares its `needs` (see `xlearn.runtime.needs`): unlabelled examples, views, a teacher, pairs of modalities. In a
phase that reads episodes, the batches are `support` and `query`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isclass, isroutine
from typing import Any, TypeAlias

import lazy_loader as lazy
from torch import Tensor, nn

from xlearn.data.episodes import Kind
from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, SUPERVISED, Declares, Needs


@dataclass(frozen=True)
class PhaseContext:
    """The context of a phase, passed to an objective when the phase begins.

    `copied`: the names of parameters copied from the source. `class_counts[role]`: labelled examples per class, int64
    `[classes]`. `teachers`: the teacher networks; they must not be trained or registered as modules. `steps`: the largest
    number of steps. `tasks[role]`: the tasks the phase reads. `validation`: the cross-entropy of each teacher on the target's
    validation split (None for a teacher that cannot read it, and None without a split). `view(batch)`: a new random view of the
    examples, drawn from torch's global generator. `learner` and `kind`: the base learner (see `xlearn.base_learners`) and the
    episode spec, if the phase reads episodes.
    """

    network: Network
    copied: frozenset[str]
    class_counts: Mapping[str, Tensor]
    teachers: tuple[Network, ...] = ()
    steps: int = 1
    tasks: Mapping[str, Task] = field(default_factory=dict)
    validation: tuple[float | None, ...] | None = None
    view: Callable[[Batch], Batch] = field(default=lambda batch: batch)
    learner: Any = None
    kind: Kind | None = None


class Objective(Declares):
    """A loss with needs, and with hooks that do nothing here. `rate` multiplies the learning rate of its own parameters."""

    rate: float = 1.0

    @classmethod
    def plain(cls, **arguments: Any) -> bool:
        """Whether, with these arguments, it is the loss of a label space as it is, in whose place others are chosen."""
        return False

    @classmethod
    def labelled(cls, roles: Sequence[str], /, **arguments: Any) -> list[str]:
        """The roles whose labels an objective with these arguments learns from."""
        return [*roles]

    def follow(self, network: Network) -> None:
        """Called after each step, e.g. to move an average of the weights."""

    def renews(self) -> bool:
        """Whether the state of the optimizer starts anew before the next step. Called after `follow`."""
        return False

    def log(self) -> dict[str, Any]:
        """Added to the record of every evaluation."""
        return {}

    def extra_updates(self) -> Sequence["ExtraUpdate"]:
        """Further updates of every step, after the phase's own."""
        return ()


# Called with (network, batches by role); an instance of `Objective`, or a function.
Loss: TypeAlias = Callable[[Network, Mapping[str, Batch]], dict[str, Tensor]]


class Plain(Objective):
    """A function as an objective."""

    def __init__(self, function: Loss, needs: Needs) -> None:
        self.function = function
        vars(self)["needs"] = needs

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return self.function(network, batches)


def objective(loss: Loss) -> Any:
    """The loss as an `Objective`: itself, or a function with its declared needs. Raises `Problem` for another object."""
    if isinstance(loss, Objective):
        return loss
    bare = loss.func if isinstance(loss, partial) else loss
    if not isroutine(bare):
        raise Problem(
            f"{type(bare).__name__} is no objective: let it inherit from xlearn.objectives.Objective, or give a function."
        )
    return Plain(loss, bare.__dict__.get("needs", SUPERVISED))


def learns_from(component: partial[Any], roles: Sequence[str]) -> list[str]:
    """The roles whose labels an objective, with its arguments, learns from."""
    made = component.func
    if isclass(made) and issubclass(made, Objective):
        return made.labelled(roles, **component.keywords)
    return [*roles]


def is_plain(component: partial[Any]) -> bool:
    """Whether an objective, with its arguments, is the loss of a label space, in whose place others are chosen."""
    made = component.func
    return isclass(made) and issubclass(made, Objective) and made.plain(**component.keywords)


class ExtraUpdate(Objective, nn.Module):
    """An additional update in every step, after the phase's own.

    `loss(network, batches)` returns named losses. `moves(name)`: whether the update changes a parameter of the network that the
    phase trains. `own`: modules of the objective that this update trains, with a separate optimizer. The network has the
    weights after the previous update. All other parameters must be detached from the losses.
    """

    needs = replace(NO_LABELS, unlabeled=True)

    def __init__(
        self,
        loss: Callable[[Network, Mapping[str, Batch]], dict[str, Tensor]],
        moves: Callable[[str], bool],
        own: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.loss, self.moves = loss, moves
        self.own = nn.ModuleList(own)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return self.loss(network, batches)


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "adaptation.adda": ["Adda"],
        "adaptation.afn": ["Afn"],
        "adaptation.cdan": ["Cdan"],
        "adaptation.coral": ["Coral"],
        "adaptation.dann": ["Dann"],
        "adaptation.deepjdot": ["DeepJdot"],
        "adaptation.jan": ["Jan"],
        "adaptation.mcc": ["Mcc"],
        "adaptation.mcd": ["Mcd"],
        "adaptation.mdd": ["Mdd"],
        "adaptation.mmd": ["Mmd"],
        "distillation.attention": ["Attention"],
        "distillation.co_tuning": ["CoTuning"],
        "distillation.crd": ["Crd"],
        "distillation.dist": ["Dist"],
        "distillation.dkd": ["Dkd"],
        "distillation.fitnets": ["FitNets"],
        "distillation.kd": ["Kd"],
        "distillation.rkd": ["Rkd"],
        "generalization.domain_mixup": ["DomainMixup"],
        "generalization.groupdro": ["GroupDro"],
        "generalization.irm": ["Irm"],
        "generalization.vrex": ["Vrex"],
        "meta.query_loss": ["QueryLoss"],
        "meta.reptile": ["Reptile"],
        "multimodal.clip": ["Clip"],
        "multimodal.siglip": ["SigLip"],
        "regularization.bss": ["Bss"],
        "regularization.delta": ["Delta"],
        "regularization.l1": ["l1"],
        "regularization.l2": ["l2"],
        "regularization.l2_sp": ["L2SP"],
        "self_supervision.autoencoder": ["Autoencoder"],
        "self_supervision.barlow_twins": ["BarlowTwins"],
        "self_supervision.byol": ["Byol"],
        "self_supervision.denoising": ["Denoising"],
        "self_supervision.mae": ["Mae"],
        "self_supervision.moco": ["MoCo"],
        "self_supervision.rotation": ["Rotation"],
        "self_supervision.simclr": ["SimClr"],
        "self_supervision.supcon": ["SupCon"],
        "self_supervision.vicreg": ["VicReg"],
        "self_training.entropy_min": ["EntropyMin"],
        "self_training.fixmatch": ["FixMatch"],
        "self_training.mean_teacher": ["MeanTeacher"],
        "self_training.pseudo_label": ["PseudoLabel"],
        "self_training.shot": ["Shot"],
        "supervised.cross_entropy": ["CrossEntropy"],
        "supervised.deferred": ["Deferred"],
        "supervised.each_modality": ["EachModality"],
        "supervised.focal": ["Focal"],
        "supervised.logit_adjustment": ["LogitAdjustment"],
        "supervised.supervised": ["Supervised"],
    },
)
