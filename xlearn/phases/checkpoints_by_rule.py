"""Selection of the weights of an adaptation phase by rules: each evaluation, and its score under each rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from xlearn.data.reads import Roles
from xlearn.data.task import Examples, Task, mixed_inputs
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.evaluate import seen
from xlearn.networks.network import Network, tensors
from xlearn.phases.keeping import BY_VALIDATION, ByValidation, Checkpoints, Keeping
from xlearn.runtime.cache import Entry, weights_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine
from xlearn.selection import LABEL_FREE, RULES, Seen, scores
from xlearn.selection.mixval import LAMBDA, pairs

# Packages that compute closed forms, transport plans and selection scores.
SOLVING = ("numpy", "pot", "scikit-learn")
# Rules that need the labels of the sources' validation split, and of the target's.
BY_SOURCE = ("source_val", "importance_weighted", "dev")
BY_TARGET = ("oracle",)
# All but the last step.
SCORED = (*BY_SOURCE, *BY_TARGET, *LABEL_FREE)
# Candidates are scored on at most this many training examples per domain.
SAMPLE = 500


def look(step: int) -> str:
    """The cache name of the weights evaluated at this step."""
    return f"@{step}"


def splits(tasks: Mapping[str, Task], held: Examples, seed: int) -> dict[str, Examples]:
    """The examples that candidates are scored on: `training <source>` and `val <source>` of each source with a validation
    split, `unlabeled` training examples of the target (the same sample at each evaluation), and `held`, the target's
    validation split.
    """
    found = {}
    for role in sources(tasks):
        if len(tasks[role].val):
            found[f"training {role}"] = _sample(tasks[role].train, derive(seed, "sample", role))
            found[f"val {role}"] = tasks[role].val
    found[UNLABELED] = _sample(tasks[UNLABELED].train, derive(seed, "sample", UNLABELED))
    return found | ({"held": held} if len(held) else {})


def _sample(examples: Examples, seed: int) -> Examples:
    if len(examples) <= SAMPLE:
        return examples
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
    return examples.subset(order[:SAMPLE].sort().values)


class ByRule(Keeping):
    """The rule of a phase that adapts (see `xlearn.selection`). It keeps the weights that any rule selects, so that the rule is
    chosen afterwards.
    """

    scores_tasks = False

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.selects = rule in SCORED

    def judges(self, reads: Sequence[str], patience: int | None) -> tuple[str, ...]:
        return ("source",) if patience is not None else ()

    def document(self) -> dict[str, Any]:
        return {"keep": None, "packages": {name: metadata.version(name) for name in SOLVING}}

    def check(self, phase: str, read: Mapping[str, Task], target: Task, trains: bool) -> None:
        held = sum(len(read[role].val) for role in sources(read)) > 1
        if self.rule in BY_SOURCE and not held:
            raise Problem(
                f"phase {phase}: keep={self.rule} needs a validation split of the source, but the phase reads none. Use "
                "keep=entropy, infomax, snd or last."
            )
        if self.rule in BY_TARGET and len(target.val) == 0:
            raise Problem(f"phase {phase}: keep={self.rule} needs validation examples of the target. Raise target.val.")
        if not trains and self.selects:
            raise Problem(f"phase {phase} has a closed-form solution, so keep={self.rule} cannot select. Use keep=last.")

    def examples(
        self, read: Mapping[str, Task], roles: Roles, modalities: Sequence[str] | None, seed: int
    ) -> dict[str, Examples]:
        target = roles["target"]["target"]
        return splits(read, (target if modalities is None else target.only(*modalities)).val, seed)

    def begin(
        self, network: Network, examples: Mapping[str, Examples], metric: str, seed: int, machine: Machine
    ) -> "Candidates":
        return Candidates(network, examples, metric, seed, machine)

    def chosen(self, entry: Entry) -> tuple[dict[str, Tensor], str, Any]:
        selected = entry.report.get("selection", {})
        if self.rule not in selected:  # a solution in closed form has no steps to select among
            return super().chosen(entry)
        step = selected[self.rule]["step"]
        weights = entry.others[look(step)]
        return weights, weights_digest(weights), step


def keeping_by(rule: str, adapts: bool) -> Keeping:
    """The rule of this name; a phase that adapts has rules of its own."""
    made = ByRule if adapts else ByValidation if rule in BY_VALIDATION else Keeping
    return made(rule)


class Candidates(Checkpoints):
    """The candidates of an adaptation phase. `looks` has, per evaluation, the step, the scores, and the weights while at
    least one rule selects them; it holds plain containers and tensors, so it can be saved.
    """

    scores = True

    def __init__(self, network: Network, examples: Mapping[str, Examples], metric: str, seed: int, machine: Machine) -> None:
        super().__init__(network)
        self.examples, self.metric, self.seed, self.machine = examples, metric, seed, machine
        self.looks: list[dict[str, Any]] = []

    def look(self, step: int) -> dict[str, Any]:
        """Score the current weights by every rule that can be computed, and keep them if a rule selects them."""
        metric, space = self.metric, self.examples[UNLABELED].space
        sign = 1 if space.metrics[metric] else -1
        found = scores(self._seen(), lambda logits, labels: sign * space.score(metric, logits, labels))
        self.looks.append({"step": step, "scores": found, "weights": tensors(self.network)})
        # Weights that no rule selects now are never selected later: a better or equal score exists. Free them.
        selected = {each["step"] for each in self.chosen().values()}
        for each in self.looks:
            each["weights"] = each["weights"] if each["step"] in selected else {}
        return {"scores": {rule: value for rule, value in found.items() if isfinite(value)}}

    def chosen(self) -> dict[str, dict[str, Any]]:
        """Per rule, the step with the best score (the first of equal ones) and that score; `last` has no score."""
        found: dict[str, dict[str, Any]] = {"last": {"step": self.looks[-1]["step"], "score": None}}
        for rule in RULES:
            if rule in self.looks[0]["scores"]:
                best = max(self.looks, key=lambda each: each["scores"][rule])
                value = best["scores"][rule]
                found[rule] = {"step": best["step"], "score": value if isfinite(value) else None}
        return found

    def report(self) -> dict[str, Any]:
        """Per rule, the selected step and its score."""
        return {"selection": self.chosen()}

    def state(self) -> Any:
        return self.looks

    def restore(self, saved: Any) -> None:
        self.looks = saved

    def kept_by_name(self) -> dict[str, dict[str, Tensor]]:
        """The weights that at least one rule selects, by their cache name."""
        return {look(each["step"]): each["weights"] for each in self.looks if each["weights"]}

    def _seen(self) -> Seen:
        def of(kind: str) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
            each = [examples for name, examples in self.examples.items() if name.startswith(f"{kind} ")]
            if not each:
                return None, None, None
            parts = [seen(self.network, examples, self.machine) for examples in each]
            labels = torch.cat([examples.labels for examples in each])
            return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), labels

        source_features, source_logits, source_labels = of("val")
        target_features, target_logits = seen(self.network, self.examples[UNLABELED], self.machine)
        held = self.examples.get("held")
        return Seen(
            source_features=source_features, source_logits=source_logits, source_labels=source_labels,
            training_features=of("training")[0], target_features=target_features, target_logits=target_logits,
            target_val_logits=None if held is None else seen(self.network, held, self.machine)[1],
            target_val_labels=None if held is None else held.labels,
            mixed_logits=self._mixed(target_features, target_logits),
        )  # fmt: skip

    def _mixed(self, features: Tensor, logits: Tensor) -> dict[str, Tensor] | None:
        """The logits of mixed target examples, for mixval. Images and vectors are mixed as inputs; modalities without a `mix`
        (sequences, ids) as features.
        """
        generator = torch.Generator().manual_seed(derive(self.seed, "mixval"))
        found: dict[str, Tensor] = {}
        for kind, partner in zip(("inter", "intra"), pairs(logits, generator), strict=True):
            rows = (partner >= 0).nonzero().flatten()
            if not len(rows):
                continue
            found[kind] = self._logits_of_mixed(features, rows, partner[rows])
            found[f"{kind}_labels"] = logits[rows].argmax(1)
        return found

    def _logits_of_mixed(self, features: Tensor, rows: Tensor, partners: Tensor) -> Tensor:
        examples = self.examples[UNLABELED]
        one, other = examples.subset(rows), examples.subset(partners)
        inputs = None if examples.present else mixed_inputs(one, other, _mix)
        mixed = one.with_features(_mix(features[rows], features[partners])) if inputs is None else replace(one, inputs=inputs)
        return seen(self.network, mixed, self.machine)[1]


def _mix(one: Tensor, other: Tensor) -> Tensor:
    mixed = LAMBDA * one.float() + (1 - LAMBDA) * other.float()
    return mixed if one.is_floating_point() else mixed.round().to(one.dtype)
