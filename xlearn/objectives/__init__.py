"""Objectives: `(network, batches by role) -> {name: scalar loss}`.

A function is used as it is. A class is built with a `PhaseContext` when its phase begins; it may hold parameters and state,
which are trained, saved and resumed with the phase. If it has a method `follow(network)`, that is called after each
step (moving averages). With `reads_inputs = True` it looks at the inputs of single modalities, so that nothing may be
computed before in their place; with `pairs = True` it needs examples of several modalities, and trains no head.

Of teachers an objective names what it asks (`lessons`: of logits, features): where nothing changes the examples, that is
computed once. One that looks into modules while they run says `looks_inside = True`, or has an option `student` or `teacher`
that is not null: a path of a module; with `runs_teacher = True` the teacher runs at every step.

Self-supervision says `labels = False`: it learns from no labels, trains no head and is judged by none. With `views = True` it
compares views of the examples (`context.view`); with `changes_inputs = True` it hides or changes parts of the inputs itself.

With `heads = False` an objective learns from labels and trains no head. Where the phase has a `base_learner`, batches are
`support` and `query` of episodes.

Only an objective with `unlabeled = True` is given the target's unlabelled examples (role `unlabeled`, labels hidden). One with
a method `extra_updates()` has further updates follow the phase's own in every step, each an `ExtraUpdate`. What `log()`
returns, if there is such a method, is added to the record of every look.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lazy_loader as lazy
from torch import Tensor, nn

from xlearn.data.episodes import Kind
from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network


@dataclass(frozen=True)
class PhaseContext:
    """What an objective may want to know when its phase begins.

    `copied`: the names that came from the source. `class_counts[role]`: labelled examples per class, int64 `[classes]`.
    `teachers`: the networks that teach the phase. Not to be trained, nor registered as modules. `steps`: how many the phase
    has at most. `tasks[role]`: what the phase reads. `validation`: the cross-entropy
    of each teacher on the target's validation split (None: it reads nothing of it, or there is no split). `view(batch)`: the
    examples, changed by the phase's views, drawn anew from torch's global generator. `learner` and `kind`: what learns a task
    of few examples (see `xlearn.base_learners`), and what these tasks are like, where the phase reads episodes.
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


class ExtraUpdate(nn.Module):
    """An update of a step after the phase's own: what it minimises, and what it moves.

    `loss(network, batches)` gives named losses; `moves(name)` says which of the network's parameters that the phase trains are
    moved by them; `own` are modules of the objective that are trained in this update, by an optimizer of their own. The network
    is as the update before left it. Whatever else the losses reach must be detached.
    """

    unlabeled = True

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
    },
)
