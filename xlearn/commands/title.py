"""The title of a run: what is transferred, how, and with how many labels. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# The arguments of loaders that name the user's own data.
PLACES = ("folder", "file", "name")


def title(result: dict[str, Any]) -> str:
    """One line: source -> target, transfer, sharing, number of labels, seed, draw, fold."""
    config, choices = result["config"], result["choices"]
    target = config["target"]
    labels = (
        f"{target['shots'] or 'no'} label{'s' * (target['shots'] != 1)}{_per_group(result) * bool(target['shots'])}"
        if target["shots"] is not None
        else "all labels"
    )
    if "ways" in (measured := config["transfer"].get("measuring") or {}):
        labels = f"{measured['ways']}-way {measured['shots']}-shot"
    if target["fraction"] is not None:
        labels = f"{target['fraction']:g} of the labels"
    if target.get("imbalance") is not None:
        labels += f", imbalance {target['imbalance']:g}"
    source = " + ".join(named(name, node) for name, node in config["source"].items()) or "no source"
    to = named(str(choices.get("target")), target)
    arrow = f"{source} -> {to}" if config["transfer"]["carry"] else f"no source -> {to}"
    if any({"source", "sources"} & {*phase.get("teachers", ())} for phase in config["transfer"].get("phases", {}).values()):
        arrow = f"{source} -> {to}"
    if config["transfer"].get("joins"):
        arrow = f"{source} together with {to}"
    sharing = f", sharing {choices.get('sharing')}" if config["transfer"]["carry"] else ""
    fold = f", fold {target['fold']} of {target['folds']}" if target["folds"] else ""
    draw = "" if target.get("draw") is None else f", draw {target['draw']}"
    return f"{arrow}: {choices.get('transfer')}{sharing}, {labels}, seed {config['seed']}{draw}{fold}"


def score(result: Mapping[str, Any]) -> str:
    """The main metric of a run and its gain, `n/a` where the target has no labels to measure them."""
    metric = result["config"]["metric"]
    if metric not in result["metrics"]:
        return f"{metric} n/a (the target has no labels)"
    return f"{metric} {result['metrics'][metric]:.4f} ({result['gain'][metric]:+.4f})"


def named(option: str, node: Any) -> str:
    """A task in a title: its option, and the last name of the path of the user's own data that it reads."""
    given = [node.get(key) for key in PLACES] if isinstance(node, dict) else []
    place = next((each for each in given if isinstance(each, str) and each), None)
    last = PurePath(place).name if place else ""
    return f"{option} {last}" if last and last != option else option


def words_of(result: dict[str, Any]) -> dict[str, Any]:
    """The words of the result's label space; earlier results are of classes."""
    return {"floor": "majority class", "group": "class", **(result.get("label_space") or {})}


def _per_group(result: dict[str, Any]) -> str:
    group = words_of(result)["group"]
    return f" per {group}" if group else ""
