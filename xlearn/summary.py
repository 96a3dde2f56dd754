"""What a run says at its end. Imports nothing heavy."""

from pathlib import Path
from typing import Any

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "calibration_error")


def title(result: dict[str, Any]) -> str:
    """Source -> target, how, with how many labels, which seed; on one line."""
    config, choices = result["config"], result["choices"]
    target = config["target"]
    labels = f"{target['shots']} labels per class" if target["shots"] is not None else "all labels"
    if target["fraction"] is not None:
        labels = f"{target['fraction']:g} of the labels"
    source = " + ".join(config["source"]) or "no source"
    arrow = f"{source} -> {choices.get('target')}" if config["transfer"]["carry"] else f"{choices.get('target')} alone"
    sharing = f", sharing {choices.get('sharing')}" if config["transfer"]["carry"] else ""
    fold = f", fold {target['fold']} of {target['folds']}" if target["folds"] else ""
    return f"{arrow}: {choices.get('transfer')}{sharing}, {labels}, seed {config['seed']}{fold}"


def summary(result: dict[str, Any], folder: Path, again: bool = False) -> str:
    """Metrics beside the baseline's with the gain, seconds per phase, notes, and where the files are."""
    lines = [title(result), f"  {'':<18}{'result':>9}{'scratch':>9}{'gain':>9}"]
    for name in SHOWN:
        value, before, gain = result["metrics"][name], result["baseline"]["metrics"][name], result["gain"][name]
        lines.append(f"  {name.replace('_', ' '):<18}{value:>9.4f}{before:>9.4f}{gain:>+9.4f}")
    if result["gain"][result["config"]["metric"]] < 0:
        lines.append(f"  negative transfer: training from scratch is better in {result['config']['metric']}")
    phases = [
        f"{phase['name']} {phase['seconds']:.1f} s{' (cached)' if phase['cached'] else ''}"
        for phase in (*result["phases"], *({**each, "name": "baseline"} for each in result["baseline"]["phases"]))
    ]
    lines.append(f"  phases: {', '.join(phases)}")
    for name, notes in result["data"].items():
        if notes.get("bad_images"):
            lines.append(f"  {name}: {notes['bad_images']} unreadable image(s) left out (skip_bad)")
    lines.append(f"  {'already done: ' if again else ''}{folder}/result.json")
    return "\n".join(lines)
