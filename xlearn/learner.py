"""A learner: the networks of a run, the phases each goes through, and what travels between them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xlearn.augment.token_dropout import UNKNOWN, token_dropout
from xlearn.cache import weights_digest
from xlearn.carry import Carried, carry
from xlearn.errors import Problem
from xlearn.network import Network, load, tensors
from xlearn.phase import Phase, Roles, Setting, check, rates, reading
from xlearn.phases import solve
from xlearn.task import Spec, TextSpec


@dataclass
class Learner:
    """`network` goes through `phases`; where there is a `teacher` (the source's network), it goes through `before` first,
    and `carried` says what of it travels. `teaches`: the phases may ask the teacher for its predictions."""

    network: Network
    phases: tuple[Phase, ...]
    roles: Roles
    teacher: Network | None = None
    before: tuple[Phase, ...] = ()
    carried: Carried | None = None
    teaches: bool = False
    # By task the weights that it keeps for itself after the last phase.
    apart: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse, before any training, what a phase could not do."""
        for phase in self.before:
            assert self.teacher is not None
            check(phase, self.teacher, self.roles)
        copied = frozenset(self.carried.copied if self.carried else ())
        for phase in self.phases:
            check(phase, self.network, self.roles, copied, self.teacher if self.teaches else None)

    def forms(self) -> dict[str, Spec]:
        """What the network's encoders, and the teacher's, read: by modality."""
        tasks = (*self.roles["source"].values(), *self.roles["target"].values())
        return {name: spec for task in tasks for name, spec in task.inputs.items()}

    def check_augmentations(self) -> None:
        """Refuse an augmentation that changes nothing of what any phase reads, or cannot know the unknown token."""
        changes: dict[Any, bool] = {}
        seen: set[str] = set()
        for phase in (*self.before, *self.phases):
            for task in reading(phase, self.roles).values():
                text = task.inputs.get("text")
                drops = any(each.func is token_dropout for each in phase.augment)
                if drops and isinstance(text, TextSpec) and text.unknown != UNKNOWN:
                    raise Problem(
                        f"augment=token_dropout makes tokens unknown, which is number {UNKNOWN} only in tokenisers learned "
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
        if self.teacher is not None and self.carried is not None:
            done = self._chain(self.teacher, self.before, copied, setting, None)
            carry(tensors(self.teacher), self.network, self.carried)
            copied = frozenset(self.carried.copied)
        return done + self._chain(self.network, self.phases, copied, setting, self.teacher if self.teaches else None)

    def _chain(
        self, network: Network, phases: Sequence[Phase], copied: frozenset[str], setting: Setting, teacher: Network | None
    ) -> list[dict[str, Any]]:
        incoming, done = weights_digest(tensors(network)), []
        for phase in phases:
            entry = solve(network, phase, self.roles, copied, incoming, setting, teacher)
            incoming = entry.digest
            if network is self.network:
                self.apart = entry.others
            done.append({name: value for name, value in entry.report.items() if name not in ("records", "document")})
        return done

    @contextmanager
    def keeping(self, task: str) -> Iterator[None]:
        """Within, the network has the weights that the task keeps for itself, if it does."""
        if task not in self.apart:
            yield
            return
        before = tensors(self.network)
        load(self.network, self.apart[task])
        try:
            yield
        finally:
            load(self.network, before)

    def count(self) -> int:
        """How many numbers some phase trains, those before the carrying among them."""
        own, before = dict(self.network.named_parameters()), dict(self.teacher.named_parameters() if self.teacher else ())
        taught = {name for phase in self.before for name in rates(phase, self.teacher)} if self.teacher else set()
        return sum(own[name].numel() for name in self.trained()) + sum(before[name].numel() for name in taught)

    def trained(self) -> set[str]:
        """The names of the network's parameters that some phase trains."""
        return {name for phase in self.phases for name in rates(phase, self.network)}

    def moved(self) -> set[str]:
        """The modalities whose encoders any phase trains, those before the carrying among them."""
        before = {name for phase in self.before if self.teacher for name in rates(phase, self.teacher)}
        return self.network.moving(self.trained() | before)
