"""The score of a finished run in a search, by a selection rule."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.names import RULES, directions

# Default for adapting runs with keep=last: a label-free rule that needs no source.
USUAL = "infomax"
# For other runs: the metric on the target's validation split, which is labelled.
VALIDATION = "validation"
ORACLE = "oracle"


def check_rule(wanted: str | None) -> None:
    """Raise `Problem` for a name that is no rule with a score."""
    known = (VALIDATION, *RULES[1:])
    if wanted is not None and wanted not in known:
        raise Problem(f"--rule {wanted}: there is no such score. {nearest(wanted, known)}")


def rule_of(result: Mapping[str, Any], wanted: str | None) -> str:
    """The rule of a search: `wanted`, or the default. Raises `Problem` if the runs have no score under it."""
    rules = result.get("selections") or {}
    if not rules:
        if wanted not in (None, VALIDATION):
            raise Problem(
                f"--rule {wanted}: the runs have no checkpoints to score, because no phase adapts to unlabelled examples step "
                f"by step; they have {VALIDATION} only. Leave --rule out."
            )
        return VALIDATION
    scored = [rule for rule, each in rules.items() if each["score"] is not None]
    if wanted is None:
        [kept] = {phase["keep"] for phase in _phases(result) if phase.get("keep")} or {"last"}
        wanted = kept if kept in scored else USUAL
    if wanted not in scored:
        raise Problem(f"--rule {wanted}: the runs have no score of it. {nearest(wanted, scored)}")
    return wanted


def _phases(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    phases = [*result["config"]["transfer"]["phases"].values()]
    return phases[-1:]


def score(result: Mapping[str, Any], folder: Path, rule: str) -> float:
    """The score of the run under the rule; higher is better. Raises `Problem` if there is none."""
    if rule != VALIDATION:
        value = ((result.get("selections") or {}).get(rule) or {}).get("score")
        if value is None:
            raise Problem(f"{folder}/result.json has no score of {rule}.")
        return float(value)
    metric = result["config"]["metric"]
    name, last = f"target_val_{metric}", result["phases"][-1]
    kept = last["kept_step"]
    step = kept.get("target") if isinstance(kept, dict) else kept
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        look = json.loads(line)
        beside = {"compared", "bound", "alone", "single"} & look.keys()  # the last three: of earlier versions
        if look.get("phase") == last["name"] and look.get("step") == step and name in look and not beside:
            return float(look[name]) * (1 if directions(result)[metric] else -1)
    raise Problem(
        f"{folder}/metrics.jsonl: phase {last['name']} has no {name}: the target has no validation examples, or no phase reads "
        "its labels. Raise target.val, or search a transfer that trains on the target step by step."
    )


def metrics_by(result: Mapping[str, Any], rule: str) -> dict[str, Any]:
    """The test metrics of the network that the rule selects in this run."""
    return result["metrics"] if rule == VALIDATION else result["selections"][rule]["metrics"]
