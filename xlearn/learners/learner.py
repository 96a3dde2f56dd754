"""A learner: networks, the phases that train them, and the weights copied between them."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xlearn.data.augment import CHANGES_INPUTS, UNKNOWN
from xlearn.data.modalities import modality
from xlearn.data.reads import Roles
from xlearn.data.task import Examples, Spec, Task
from xlearn.data.unlabeled import is_hidden
from xlearn.learners.carry import Carried, carry
from xlearn.measuring import Asked, Measured, Measuring
from xlearn.networks.network import Network, load, tensors
from xlearn.phases.feasible import check
from xlearn.phases.phase import Phase, Setting, rates, reading
from xlearn.phases.solve import solve
from xlearn.phases.teacher_outputs import Teaching
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared


@dataclass
class SourceNetwork:
    """A network trained on the sources, before the learner's own network.

    `roles`: the tasks it learns from; `forms`: all tasks as its encoders read them; `pretrained` as in `Setting`; `learned`:
    the names of its learned tensors; `test_unusable`: per source, why its test split cannot be used (it may have been
    trained on).
    """

    network: Network
    phases: tuple[Phase, ...]
    roles: Roles
    forms: Roles
    pretrained: frozenset[str]
    learned: frozenset[str] = frozenset()
    test_unusable: Mapping[str, str] = field(default_factory=dict)
    # The reports of its phases, once they are done.
    reports: list[dict[str, Any]] = field(default_factory=list)

    def trained(self) -> set[str]:
        """The names of the network's parameters that at least one phase trains."""
        return {name for phase in self.phases for name in rates(phase, self.network)}

    def teaching(self) -> Teaching:
        return Teaching(self.network, self.forms, self.pretrained)


@dataclass
class Learner:
    """`phases` train `network`, after the `source_networks` are trained. `carried`: the tensors copied from the only source
    network. The teachers of a phase are the source networks or an earlier phase. `measuring`: how the network is measured;
    `pretrained`: the modalities with a pretrained encoder."""

    network: Network
    phases: tuple[Phase, ...]
    roles: Roles
    measuring: Measuring
    pretrained: frozenset[str] = frozenset()
    source_networks: tuple[SourceNetwork, ...] = ()
    carried: Carried | None = None
    # Per task, the weights of its best step, for keep=best_each.
    kept_by_task: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    # Per selection rule, the evaluation it selects, if the last phase adapts.
    selection: dict[str, dict[str, Any]] = field(default_factory=dict)

    def checks(self) -> Iterator[Callable[[], None]]:
        """The checks of all phases before any training: each raises `Problem` for a phase that cannot run."""
        for source in self.source_networks:
            for phase in source.phases:
                teachings = self._teachings(phase, source.phases, source.network, source.roles, {})
                yield partial(check, phase, source.network, source.roles, teachings=teachings)
        copied = frozenset(self.carried.copied if self.carried else ())
        for phase in self.phases:
            teachings = self._teachings(phase, self.phases, self.network, self.roles, {})
            yield partial(check, phase, self.network, self.roles, copied, teachings)

    def check(self) -> None:
        """Raise `Problem`, before any training, for the first phase that cannot run."""
        for each in self.checks():
            each()

    def forms(self) -> dict[str, Spec]:
        """The input spec of each modality."""
        tasks = (*self.roles["source"].values(), *self.roles["target"].values())
        return {name: spec for task in tasks for name, spec in task.inputs.items()}

    def check_augmentations(self) -> None:
        """Raise `Problem` for an augmentation that changes no input of any phase, or that has no unknown token to insert."""
        changes: dict[Any, bool] = {}
        seen: set[str] = set()
        before = [(phase, source.roles) for source in self.source_networks for phase in source.phases]
        for phase, roles in (*before, *((phase, self.roles) for phase in self.phases)):
            for task in reading(phase, roles).values():
                text = modality(task.inputs.get("text"))
                drops = [each.func for each in phase.augment if declared(each, CHANGES_INPUTS).unknown_token]
                if drops and text.lacks_unknown(UNKNOWN):
                    raise Problem(
                        f"augment={drops[0].__name__} replaces tokens with the unknown token {UNKNOWN}, which only tokenisers "
                        "trained by xlearn have. Leave it out, or choose another encoder/text."
                    )
                batch = task.train.take(torch.arange(min(2, len(task.train))))
                seen |= task.inputs.keys()
                hidden = is_hidden(task.train.labels)
                for each in phase.augment:
                    if hidden and declared(each, CHANGES_INPUTS).one_task:
                        continue  # refused by the checks of the phase
                    changed = each(batch, torch.Generator().manual_seed(0)) is not batch
                    changes[each.func] = changes.get(each.func, False) or changed
        for function, changed in changes.items():
            if not changed:
                raise Problem(
                    f"augment={function.__name__} has no effect: the phases read {' and '.join(sorted(seen))}. Leave it "
                    "out, or choose another (`xlearn show augment`)."
                )

    def learn(self, setting: Setting) -> list[dict[str, Any]]:
        """Run all phases in place, and return the report of each, without its records."""
        done, copied = [], frozenset()
        for source in self.source_networks:
            if source.reports:  # another learner trained it
                done += [{**report, "cached": True} for report in source.reports]
                continue
            theirs = replace(setting, pretrained=source.pretrained)
            source.reports = self._chain(source.network, source.phases, source.roles, copied, theirs)
            done += source.reports
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
            if phase.restarts:
                load(network, began)
                incoming = weights_digest(began)
            entry = solve(
                network, phase, roles, copied, incoming, setting, self._teachings(phase, phases, network, roles, ended)
            )
            incoming = entry.digest
            if network is self.network:
                self.kept_by_task, self.selection = entry.others, entry.report.get("selection", {})
            if any(phase.name in each.teachers for each in phases):
                ended[phase.name] = copy.deepcopy(network)
            done.append({name: value for name, value in entry.report.items() if name not in ("records", "document")})
        return done

    def _teachings(
        self, phase: Phase, phases: Sequence[Phase], network: Network, roles: Roles, ended: Mapping[str, Network]
    ) -> list[Teaching]:
        """The teachers of a phase of a chain that trains `network`: the trained source networks, or the network after an
        earlier phase of the chain.
        """
        earlier = {each.name for each in phases}
        # Before training, `ended` is empty, and this network has the same structure.
        own = [Teaching(ended.get(name, network), roles) for name in phase.teachers if name in earlier]
        sources = self.source_networks if len(own) < len(phase.teachers) else ()
        return [*own, *(source.teaching() for source in sources)]

    def still(self) -> list[str]:
        """The modalities with a pretrained encoder that no phase and no measurement changes: it encodes a data set once."""
        moved = self.moved() | self.network.moving(self.measuring.trains(self.network))
        return sorted((self.pretrained & self.network.encoder.keys()) - moved)

    def measured(self, task: Task, examples: Examples, asked: Asked) -> Measured:
        """The measurement on the opened test examples of a task."""
        return self.measuring(self.network, task, examples, self.still(), asked)

    @contextmanager
    def keeping(self, task: str) -> Iterator[None]:
        """Within this context the network has the task's own kept weights (`keep=best_each`), if any."""
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
        """All phases: those of the source networks, then its own."""
        return [*(phase for source in self.source_networks for phase in source.phases), *self.phases]

    def count(self) -> int:
        """The number of trained values, including those of the source's phases if their weights are copied."""
        own = dict(self.network.named_parameters())
        counted = [own[name].numel() for name in self.trained()]
        for source in self.source_networks if self.carried is not None else ():
            before = dict(source.network.named_parameters())
            counted += [before[name].numel() for name in source.trained()]
        return sum(counted)

    def trained(self) -> set[str]:
        """The names of the network's parameters that at least one phase trains."""
        return {name for phase in self.phases for name in rates(phase, self.network)}

    def moved(self) -> set[str]:
        """The modalities of the encoders that a phase trains, including the source's phases if their weights are copied."""
        before = {name for source in self.source_networks if self.carried is not None for name in source.trained()}
        return self.network.moving(self.trained() | before)
