"""Few-shot episodes as the batches of a phase, and their validation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from torch import nn

from xlearn.base_learners.few_shot import predicted, scores
from xlearn.batches import Asked, Batching, Beginning, HeldOut
from xlearn.data import episodes
from xlearn.data.episodes import Kind, classes_apart, need_enough
from xlearn.data.reads import VIEWS
from xlearn.data.task import Examples, Task
from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.checks import need_space
from xlearn.networks.network import Network
from xlearn.networks.statistics import estimated
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine
from xlearn.runtime.needs import Needs, declared


class Episodes(Batching):
    """N-way K-shot episodes, `tasks` in every step: N = `ways` classes, K = `shots` examples of each in the support, `queries`
    in the query. The base learner learns each episode from its support (see `xlearn.base_learners`).

    Validated on `val` other episodes, of the share `held_out` of the classes where that is possible, else of the validation
    split. Raises `Problem` for values out of range.
    """

    # An inner loop learns from the inputs of each episode.
    needs = Needs(trains_head=False, raw_inputs=True, episodes=True)
    by_role = False
    keeps_shares = False

    def __init__(
        self,
        base_learner: partial[Any] | None,
        *,
        ways: int = 5,
        shots: int | None = 5,
        queries: int = 5,
        tasks: int = 4,
        val: int = 100,
        held_out: float = 0.2,
    ) -> None:
        if base_learner is None:
            raise Problem(
                "batches=episodes needs a base learner, which learns each episode. Set base_learner, as in pretrain=maml."
            )
        if not shots:
            raise Problem(
                f"episodes.shots={'null' if shots is None else shots}: set it to labelled examples per class, e.g. 1."
            )
        for name, value, least in (("ways", ways, 1), ("queries", queries, 0), ("tasks", tasks, 1), ("val", val, 1)):
            if value < least:
                raise Problem(f"episodes.{name}={value}: give {least} or more.")
        if not 0 <= held_out < 1:
            raise Problem(f"episodes.held_out={held_out}: give a share in [0, 1).")
        self.base_learner = base_learner
        self.kind = Kind(ways, shots, queries, tasks, val, held_out)

    def small(self) -> "Episodes":
        return Episodes(self.base_learner, **{**asdict(self.kind), "val": 2})

    def fewest(self) -> int:
        return self.kind.shots + max(self.kind.queries, 1)

    def size(self, examples: int) -> int:
        return examples

    def document(self, read: Mapping[str, Task]) -> dict[str, Any]:
        return {"episodes": asdict(self.kind), "base_learner": described(self.base_learner)}

    def begin(self, beginning: Beginning) -> "Source":
        return Source(beginning.examples, self.kind, seed=beginning.seed, device=beginning.device, augment=beginning.augment)

    def spaces(self, tasks: Sequence[Task]) -> list[LabelSpace]:
        return [*episode_spaces(self.base_learner, self.kind, tasks[0]).values()]

    def parts(self, network: Network) -> dict[str, nn.Module]:
        made = self.base_learner().parts(network)
        return {} if made is None else {"rates": made}

    def context(self) -> dict[str, Any]:
        return {"learner": self.base_learner(), "kind": self.kind}

    def check(self, asked: Asked, read: Mapping[str, Task], one_task: bool, views: Sequence[str]) -> None:
        kind, where = self.kind, f"phase {asked.name}"
        if not all(VIEWS[name].labelled for name in views) or len({VIEWS[name].group for name in views}) > 1:
            raise Problem(f"{where}: reads=[{','.join(views)}], but episodes are drawn by label. Set reads=[source].")
        kinds = {task.labels.kind for task in read.values()}
        if len(kinds) > 1:
            raise Problem(f"{where}: some sources predict {', others '.join(sorted(kinds))}. Choose sources of one kind.")
        for task in read.values():
            need_learner(self.base_learner, task.labels.episode(kind.ways))
        if one_task:
            raise Problem(f"{where}: augment=mixup mixes labels, but each episode renumbers its classes. Leave it out.")
        for task in read.values():  # for whichever classes the seed holds out
            need_ways(kind, task)
            need_enough(task.name, task.train, kind)
        if asked.keep not in ("last", "best_source"):
            raise Problem(f"{where}: keep={asked.keep}: a phase of episodes needs keep=last or best_source.")
        if _selects(asked) and not Validation(kind, read, 0).judged_by:
            raise Problem(
                f"{where}: keep={asked.keep} and patience={asked.patience} need validation episodes of {kind.ways} held-out "
                "classes, but there are too few classes or examples. Raise episodes.held_out or the source's val, or use "
                "keep=last."
            )

    def hold_out(
        self, asked: Asked, tasks: Mapping[str, Task], scored: Mapping[str, Task], judges: Sequence[str], seed: int
    ) -> HeldOut:
        held, extra = Validation(self.kind, tasks, seed), self.context()
        named = {"episodes": partial(held.score, extra["learner"])} if held.judged_by else {}
        spaces = {name: next(iter(tasks.values())).labels.episode(self.kind.ways) for name in named}
        return HeldOut(held.train, held.valid, named, spaces, [*named] if _selects(asked) else [], extra)


class Source(episodes.Episodes):
    """Episodes of a phase. They leave the running statistics of batch normalisation untouched: `finish` estimates them."""

    def finish(self, network: nn.Module, machine: Machine) -> bool:
        assert isinstance(network, Network)
        estimated(network, {self.examples.task: self.examples}, machine)
        return True


class Validation:
    """Validation episodes of held-out classes, or of held-out examples; `train` are the other examples, by role.
    `judged_by`: "classes held out" or "examples held out"; empty if there are too few of either.
    """

    def __init__(self, kind: Kind, tasks: Mapping[str, Task], seed: int) -> None:
        found = classes_apart(tasks, kind.held_out, kind, seed)
        self.train = {role: each.train for role, each in found.items()}
        self.kind, self.seed = replace(kind, queries=max(kind.queries, 1)), seed
        # Roles with a validation split too small for one episode are left out.
        self.valid = {role: each.val for role, each in found.items() if _enough(each.val, self.kind)}
        kinds = {"classes held out" if each.classes else "examples held out" for each in found.values()}
        self.judged_by = " and ".join(sorted(kinds)) if self.valid else ""
        self.episodes: episodes.Episodes | None = None

    def score(self, learner: Any, network: Network, valid: Mapping[str, Examples], metric: str, machine: Machine) -> float:
        """The metric's mean over `kind.val` episodes."""
        if self.episodes is None:
            self.episodes = episodes.Episodes(valid, self.kind, seed=derive(self.seed, "validation"), device=machine.device)
        found = predicted(network, learner, self.episodes, self.kind.val, machine, every=False)
        return float(scores(found, self.episodes.space, metric).mean())


def episode_spaces(base_learner: partial[Any], kind: Kind, task: Task) -> dict[str, LabelSpace]:
    """The label space of the head that learns episodes; empty for a base learner without a head."""
    if not declared(base_learner).trains_head:
        return {}
    space = task.labels.episode(kind.ways)
    return {space.key: space}


def need_ways(kind: Kind, task: Task) -> None:
    """Raise `Problem` for a task whose label space makes no episode of so many groups."""
    if how := task.labels.no_episodes(kind.ways):
        raise Problem(f"episodes.ways={kind.ways}: {task.name} {how}.")


def need_learner(learner: partial[Any], space: LabelSpace) -> None:
    """Raise `Problem` for a base learner that does not predict this label space of an episode."""
    need_space(declared(learner), space, f"base_learner={learner.func.__name__}", "Use base_learner=gradient_descent.")


def _selects(asked: Asked) -> bool:
    return asked.selects or asked.patience is not None


def _enough(examples: Examples, kind: Kind) -> bool:
    try:
        need_enough("", examples, kind)
    except Problem:
        return False
    return True
