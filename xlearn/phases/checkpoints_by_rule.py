"""Checkpoints of an adaptation phase: the weights at each evaluation, and their score under each selection rule."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Column
from xlearn.data.task import Examples, Task
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.evaluate import seen
from xlearn.networks.network import Network, tensors
from xlearn.phases.phase import Setting
from xlearn.runtime.hashing import derive
from xlearn.selection import RULES, Seen, scores
from xlearn.selection.mixval import LAMBDA, pairs

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


@dataclass
class Candidates:
    """The candidates of an adaptation phase. `looks` has, per evaluation, the step, the scores, and the weights while at
    least one rule selects them; it holds plain containers and tensors, so it can be saved.
    """

    network: Network
    examples: Mapping[str, Examples]
    setting: Setting

    def __post_init__(self) -> None:
        self.looks: list[dict[str, Any]] = []

    def look(self, step: int) -> dict[str, float]:
        """Score the current weights by every rule that can be computed, and keep them if a rule selects them."""
        metric, space = self.setting.metric, self.examples[UNLABELED].space
        sign = 1 if space.metrics[metric] else -1
        found = scores(self._seen(), lambda logits, labels: sign * space.score(metric, logits, labels))
        self.looks.append({"step": step, "scores": found, "weights": tensors(self.network)})
        # Weights that no rule selects now are never selected later: a better or equal score exists. Free them.
        selected = {each["step"] for each in self.chosen().values()}
        for each in self.looks:
            each["weights"] = each["weights"] if each["step"] in selected else {}
        return {rule: value for rule, value in found.items() if isfinite(value)}

    def chosen(self) -> dict[str, dict[str, Any]]:
        """Per rule, the step with the best score (the first of equal ones) and that score; `last` has no score."""
        found: dict[str, dict[str, Any]] = {"last": {"step": self.looks[-1]["step"], "score": None}}
        for rule in RULES:
            if rule in self.looks[0]["scores"]:
                best = max(self.looks, key=lambda each: each["scores"][rule])
                value = best["scores"][rule]
                found[rule] = {"step": best["step"], "score": value if isfinite(value) else None}
        return found

    def chosen_weights(self) -> dict[str, dict[str, Tensor]]:
        """The weights that at least one rule selects, by their cache name."""
        return {look(each["step"]): each["weights"] for each in self.looks if each["weights"]}

    def _seen(self) -> Seen:
        def of(kind: str) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
            each = [examples for name, examples in self.examples.items() if name.startswith(f"{kind} ")]
            if not each:
                return None, None, None
            parts = [seen(self.network, examples, self.setting.machine) for examples in each]
            labels = torch.cat([examples.labels for examples in each])
            return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), labels

        source_features, source_logits, source_labels = of("val")
        target_features, target_logits = seen(self.network, self.examples[UNLABELED], self.setting.machine)
        held = self.examples.get("held")
        return Seen(
            source_features=source_features, source_logits=source_logits, source_labels=source_labels,
            training_features=of("training")[0], target_features=target_features, target_logits=target_logits,
            target_val_logits=None if held is None else seen(self.network, held, self.setting.machine)[1],
            target_val_labels=None if held is None else held.labels,
            mixed_logits=self._mixed(target_features, target_logits),
        )  # fmt: skip

    def _mixed(self, features: Tensor, logits: Tensor) -> dict[str, Tensor] | None:
        """The logits of mixed target examples, for mixval. Images and vectors are mixed as inputs; sequences, which cannot be
        added, as features.
        """
        generator = torch.Generator().manual_seed(derive(self.setting.seed, "mixval"))
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
        dense = all(isinstance(column, Tensor) for column in examples.inputs.values())
        if dense and not examples.present and examples.features is None:
            inputs: dict[str, Column] = {name: _mix(column, other.inputs[name]) for name, column in one.inputs.items()}
            mixed = replace(one, inputs=inputs)
        else:
            mixed = one.with_features(_mix(features[rows], features[partners]))
        return seen(self.network, mixed, self.setting.machine)[1]


def _mix(one: object, other: object) -> Tensor:
    assert isinstance(one, Tensor) and isinstance(other, Tensor)
    mixed = LAMBDA * one.float() + (1 - LAMBDA) * other.float()
    return mixed if one.is_floating_point() else mixed.round().to(one.dtype)
