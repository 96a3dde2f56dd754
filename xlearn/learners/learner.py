"""A learner: the networks of a run, the phases each goes through, and what travels between them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.augment._span_masking import span_masking
from xlearn.data.augment._token_dropout import UNKNOWN, token_dropout
from xlearn.data.task import Spec, TextSpec
from xlearn.learners.carry import Carried, carry
from xlearn.networks.network import Network, load, tensors
from xlearn.phases.feasible import check
from xlearn.phases.phase import Phase, Roles, Setting, rates, reading
from xlearn.phases.solve import solve
from xlearn.phases.teacher_outputs import Teaching
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.errors import Problem


@dataclass
class SourceNetwork:
    """A network of the sources, which goes through its phases before the learner's own.

    `roles`: what it learns from; `forms`: all tasks, in the form that it reads; `pretrained` as in `Setting`; `learned`: the
    names of what will have been learned; `test_unusable`: per source, why its test split
    cannot be used (the weights it began with may come from it).
    """

    network: Network
    phases: tuple[Phase, ...]
    roles: Roles
    forms: Roles
    pretrained: frozenset[str]
    learned: frozenset[str] = frozenset()
    test_unusable: Mapping[str, str] = field(default_factory=dict)

    def teaching(self) -> Teaching:
        return Teaching(self.network, self.forms, self.pretrained)


@dataclass
class Learner:
    """`network` goes through `phases`, after the `source_networks` went through theirs; `carried` says what travels from the
    only source network. Teachers of a phase are the source networks or an earlier phase."""

    network: Network
    phases: tuple[Phase, ...]
    roles: Roles
    source_networks: tuple[SourceNetwork, ...] = ()
    carried: Carried | None = None
    # Per task, the weights of its own best step, where each task keeps its own.
    kept_by_task: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    # By rule the look that it selects, where the last phase adapts.
    selection: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse, before any training, what a phase could not do."""
        for source in self.source_networks:
            for phase in source.phases:
                check(phase, source.network, source.roles)
        copied = frozenset(self.carried.copied if self.carried else ())
        for phase in self.phases:
            check(phase, self.network, self.roles, copied, self._teachings(phase, {}))

    def forms(self) -> dict[str, Spec]:
        """What the network's encoders, and the teacher's, read: by modality."""
        tasks = (*self.roles["source"].values(), *self.roles["target"].values())
        return {name: spec for task in tasks for name, spec in task.inputs.items()}

    def check_augmentations(self) -> None:
        """Refuse an augmentation that changes nothing of what any phase reads, or cannot know the unknown token."""
        changes: dict[Any, bool] = {}
        seen: set[str] = set()
        before = [(phase, source.roles) for source in self.source_networks for phase in source.phases]
        for phase, roles in (*before, *((phase, self.roles) for phase in self.phases)):
            for task in reading(phase, roles).values():
                text = task.inputs.get("text")
                drops = [each.func for each in phase.augment if each.func in (token_dropout, span_masking)]
                if drops and isinstance(text, TextSpec) and text.unknown != UNKNOWN:
                    raise Problem(
                        f"augment={drops[0].__name__} makes tokens unknown, which is number {UNKNOWN} only in "
                        f"tokenisers learned "
                        "here. Leave it out, or choose another encoder/text."
                    )
                batch = task.train.take(torch.arange(min(2, len(task.train))))
                seen |= task.inputs.keys()
                for each in phase.augment:
                    changed = each(batch, torch.Generator().manual_seed(0)) is not batch
                    changes[each.func] = changes.get(each.func, False) or changed
        for function, changed in changes.items():
            if not changed:
                raise Problem(
                    f"augment={function.__name__} changes nothing here: the phases read {' and '.join(sorted(seen))}. Leave it "
                    "out, or choose another (`xlearn show augment`)."
                )

    def learn(self, setting: Setting) -> list[dict[str, Any]]:
        """Solve all phases, in place; what each reported, without its records."""
        done, copied = [], frozenset()
        for source in self.source_networks:
            theirs = replace(setting, pretrained=source.pretrained)
            done += self._chain(source.network, source.phases, source.roles, copied, theirs)
        if self.carried is not None:
            carry(tensors(self.source_networks[0].network), self.network, self.carried)
            copied = frozenset(self.carried.copied)
        return done + self._chain(self.network, self.phases, self.roles, copied, setting)

    def _chain(
        self, network: Network, phases: Sequence[Phase], roles: Roles, copied: frozenset[str], setting: Setting
    ) -> list[dict[str, Any]]:
        began = tensors(network)
        incoming, done = weights_digest(began), []
        ended: dict[str, Network] = {}
        for phase in phases:
            if phase.begins == "start":
                load(network, began)
                incoming = weights_digest(began)
            entry = solve(network, phase, roles, copied, incoming, setting, self._teachings(phase, ended))
            incoming = entry.digest
            if network is self.network:
                self.kept_by_task, self.selection = entry.others, entry.report.get("selection", {})
            if any(each.taught_by == phase.name for each in phases):
                ended[phase.name] = copy.deepcopy(network)
            done.append({name: value for name, value in entry.report.items() if name not in ("records", "document")})
        return done

    def _teachings(self, phase: Phase, ended: Mapping[str, Network]) -> list[Teaching]:
        """Who teaches a phase of the learner's own: what the sources' networks became, or an earlier phase."""
        if phase.taught_by is None:
            return []
        if phase.taught_by in ("source", "sources"):
            return [source.teaching() for source in self.source_networks]
        # Before any training: it will be this network.
        return [Teaching(ended.get(phase.taught_by, self.network), self.roles)]

    @contextmanager
    def keeping(self, task: str) -> Iterator[None]:
        """Within, the network has the weights that the task keeps for itself, if it does."""
        if task not in self.kept_by_task:
            yield
            return
        before = tensors(self.network)
        load(self.network, self.kept_by_task[task])
        try:
            yield
        finally:
            load(self.network, before)

    def every_phase(self) -> list[Phase]:
        """Its own, and those of its source networks."""
        return [*(phase for source in self.source_networks for phase in source.phases), *self.phases]

    def count(self) -> int:
        """How many numbers some phase trains, those before the carrying among them."""
        own = dict(self.network.named_parameters())
        counted = [own[name].numel() for name in self.trained()]
        for source in self.source_networks if self.carried is not None else ():
            before = dict(source.network.named_parameters())
            counted += [before[name].numel() for name in _trained(source)]
        return sum(counted)

    def trained(self) -> set[str]:
        """The names of the network's parameters that some phase trains."""
        return {name for phase in self.phases for name in rates(phase, self.network)}

    def moved(self) -> set[str]:
        """The modalities whose encoders any phase trains, those before the carrying among them."""
        before = {name for source in self.source_networks if self.carried is not None for name in _trained(source)}
        return self.network.moving(self.trained() | before)


def _trained(source: SourceNetwork) -> set[str]:
    return {name for phase in source.phases for name in rates(phase, source.network)}
