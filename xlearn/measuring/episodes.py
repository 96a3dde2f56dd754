"""Measurement on many few-shot episodes, each learned from the same weights."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from xlearn.base_learners.few_shot import metrics, once, predicted, summary
from xlearn.base_learners.statistics import norms
from xlearn.batches.episodes import Episodes as EpisodeBatches
from xlearn.batches.episodes import episode_spaces, need_learner, need_ways
from xlearn.config.collector import Collector
from xlearn.data import episodes
from xlearn.data.episodes import Kind, need_enough
from xlearn.data.options import TaskOptions
from xlearn.data.reads import VIEWS
from xlearn.data.task import Examples, Sealed, Task
from xlearn.label_spaces import LabelSpace
from xlearn.measuring import AboveFloor, Asked, Measured, Measuring, Planned
from xlearn.metrics.paired import over_constant
from xlearn.networks.network import Network
from xlearn.phases.encoder_cache import encode
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import place
from xlearn.runtime.needs import declared


class Episodes(Measuring):
    """The mean over `test` N-way K-shot episodes, drawn from the target's classes by the seed, the same for every method. The
    base learner learns each from its support. All examples of the target are measured.

    Raises: `Problem` for values out of range, and without a base learner.
    """

    measures_all = True

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
        test: int = 600,
    ) -> None:
        super().__init__(base_learner)
        if base_learner is None:
            raise Problem(
                "episodes are measured with the base learner of pretraining, but it has none. Use pretrain=maml, or "
                "transfer=episodes_centroid, episodes_probe or episodes_finetune."
            )
        for name, value in (("test", test), ("queries", queries)):
            if value < 1:
                raise Problem(f"episodes.{name}={value}: give 1 or more.")
        arguments = {"ways": ways, "shots": shots, "queries": queries, "tasks": tasks, "val": val, "held_out": held_out}
        self.kind: Kind = EpisodeBatches(base_learner, **arguments).kind
        self.count, self.component = test, base_learner

    def small(self) -> "Episodes":
        return Episodes(self.base_learner, **asdict(self.kind), test=2)

    def fewest(self) -> int:
        return self.kind.shots + max(self.kind.queries, 1)

    def check_plan(self, planned: Planned, found: Collector) -> None:
        where = f"transfer={planned.names.get('transfer')}"
        found.need(
            not planned.transfer and planned.carries and not planned.changes_structure,
            f"{where}: only the base learner learns the target's episodes, from the copied weights. Set carry: true, and "
            "no phases, joins or adds.",
        )
        why = f"all examples of a target of episodes are measured ({where})"
        for phase in planned.pretrain:
            place = f"pretrain.phases.{phase.name}"
            found.need(
                "target" not in phase.reads and "target.unlabeled" not in phase.reads,
                f"{place}.reads=[{','.join(phase.reads)}]: {why}, so no phase may learn or select on them. Use [source] or "
                "[source.inputs].",
            )
            found.need(
                phase.keeping.rule in ("last", "best_source"),
                f"{place}.keep={phase.keeping.rule}: {why}, so no phase may learn or select on them. Use last or best_source.",
            )
            found.need(
                any(VIEWS[name].labelled for name in phase.reads) or bool(planned.sources),
                f"{place}.reads=[{','.join(phase.reads)}]: {why}. Choose a source, so that the phase reads "
                "the source's inputs.",
            )
        # The head that pretraining trained is the one that is measured, if its base learner is.
        ways = [
            phase.batches.kind.ways
            for phase in planned.pretrain
            if isinstance(phase.batches, EpisodeBatches) and described(phase.batches.base_learner) == described(self.component)
        ]
        trained = ways[-1] if ways else self.kind.ways
        found.need(
            trained == self.kind.ways or not declared(self.component).trains_head,
            f"pretrain: episodes.ways={trained} and episodes.ways={self.kind.ways}: a head for {trained} classes cannot "
            f"predict {self.kind.ways}. Set both to the same number, or use pretrain=protonet or matching, which have no head.",
        )
        # Options that are swept; val and test may be set by the task.
        for key in ("draw", "fraction", "imbalance", "folds", "fold"):
            value, usual = getattr(planned.target.options, key), getattr(TaskOptions, key)
            shown = "null" if usual is None else usual
            found.need(value == usual, f"target.{key}={value}: {why}, so the split has no effect. Leave it at {shown}.")

    def check(self, task: Task) -> None:
        need_ways(self.kind, task)
        need_enough(task.name, task.test.examples, self.kind)
        need_learner(self.component, task.labels.episode(self.kind.ways))
        self.component()  # raises for arguments out of range

    def prepared(self, task: Task) -> Task:
        """The task with all its labelled examples in the test split, from which the episodes are drawn. All other splits are
        empty, so that nothing else can learn from its classes.
        """
        parts = (task.train, task.val, task.unlabeled, task.test.examples)
        whole = task.unlabeled.whole or task.unlabeled
        every = task.with_labels(whole.subset(torch.cat([part.rows for part in parts]).sort().values))
        if len(every) == 0:
            raise Problem(f"target={task.name} has no labels: no episode can be drawn or measured. Choose another transfer.")
        none = whole.subset(every.rows[:0])
        notes = {**task.notes, "examples": {"train": 0, "val": 0, "test": len(every), "unlabeled": 0}}
        empty = {"train": none, "val": none, "unlabeled": none, "training": none.rows}
        return replace(task, **empty, test=Sealed(task.name, every), notes=notes)

    def has_labels(self, task: Task) -> bool:
        return True

    def spaces(self, task: Task) -> dict[str, LabelSpace]:
        return episode_spaces(self.component, self.kind, task)

    def parts(self, network: Network) -> dict[str, nn.Module]:
        made = self.component().parts(network)
        return {} if made is None else {"rates": made}

    def trains(self, network: Network) -> set[str]:
        learner = self.component()
        return {name for name, _ in network.named_parameters() if learner.trains(name)}

    def __call__(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> Measured:
        drawn = self._drawn(network, task, examples, still, asked)
        learner, machine = self.component(), asked.machine
        if asked.cached:
            seed = derive(asked.seed, "episodes")
            made = [described(self.component), asdict(self.kind), task.fingerprint, sorted(task.inputs), seed]
            found = once(network, learner, drawn, self.count, machine, made)
        else:
            found = predicted(network, learner, drawn, self.count, machine)
        if not asked.cached and not bool(found.logits[-1].isfinite().all()):
            raise Problem(
                f"the inner loop of an episode of {task.name} diverges to values that are not finite. Lower "
                "base_learner.test_steps (to the training steps) or base_learner.rate."
            )
        rows = torch.stack([drawn.rows(number) for number in range(self.count)])
        told = summary(found, drawn.space, asked.metric)
        if not asked.cached:
            statistics = learner.statistics if norms(network) else None
            told = {**asdict(self.kind), **told, **learner.log(), "statistics": statistics}
        tensors = {"logits": found.logits[-1], "labels": found.labels, "rows": rows}
        correct = drawn.space.correct(found.logits[-1], found.labels)
        right = {} if correct is None else {"correct": correct}
        return Measured(metrics(found, drawn.space), tensors, right, {"episodes": told})

    def _drawn(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> episodes.Episodes:
        # Frozen pretrained encoders encode a data set once.
        given = encode(network, examples, still, asked.machine)
        seed = derive(asked.seed, "episodes")
        return episodes.Episodes({task.name: given}, self.kind, seed=seed, device=asked.machine.device)

    def cost(self, network: Network, task: Task, examples: Examples, asked: Asked) -> dict[str, Any]:
        """`flops` per query, without learning the episode."""
        drawn = self._drawn(network, task, examples, (), asked)
        place(network, asked.machine)
        network.eval()
        batch = drawn.some(range(1))["query"]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            (network if declared(self.component).trains_head else network.features)(batch)
        numbers = sum(each.numel() for name, each in network.named_parameters() if not name.startswith("rates."))
        return {"parameters": numbers, "flops": counter.get_total_flops() / len(batch)}

    def floor(self, task: Task, examples: Examples, measured: Measured) -> dict[str, Any] | None:
        """The metrics of a prediction without labels, as all classes are equally frequent; None for regression."""
        space, labels = task.labels.episode(self.kind.ways), measured.tensors["labels"]
        outputs = self._floor(space, labels)
        return None if outputs is None else space.measure_episodes(outputs, labels)

    def above_floor(self, task: Task, examples: Examples, measured: Measured, asked: Asked) -> AboveFloor | None:
        """Over the episodes, each of which has one score (see `over_constant` of `xlearn.metrics.paired`)."""
        space, labels = task.labels.episode(self.kind.ways), measured.tensors["labels"]
        outputs = self._floor(space, labels)
        if outputs is None:
            return None
        metric = space.floor_metric(space.own_metric(asked.metric))
        own, chance = (space.scores_by_episode(metric, each, labels) for each in (measured.tensors["logits"], outputs))
        found = over_constant(own, chance)
        return AboveFloor(metric, found if space.metrics[metric] else found.turned())

    def _floor(self, space: LabelSpace, labels: Tensor) -> Tensor | None:
        """The outputs of the floor for all episodes, `[episodes, n, width]`."""
        outputs = space.floor(None, labels.shape[0] * labels.shape[1])
        return None if outputs is None else outputs.unflatten(0, labels.shape[:2])
