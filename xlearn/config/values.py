"""Values at the top of the configuration that are out of range."""

from collections.abc import Mapping
from typing import Any

from xlearn.config.collector import Collector
from xlearn.label_spaces.checks import need_metric
from xlearn.runtime.errors import Problem, nearest


def check_values(config: Mapping[str, Any], found: Collector) -> None:
    """Add a sentence to `found` for each of them, with the allowed values."""
    found.need(0 <= config["seed"] < 2**63, f"seed={config['seed']}: give 0 to 2^63 - 1.")
    if (node := config.get("label_space")) is not None:  # results of earlier versions have none
        space = found.component(node, "label_space", positional=2)
        try:
            if space is not None:
                need_metric(config["metric"], space.func, config["choices"].get("target", "the target"))
        except Problem as problem:
            found.add(problem)
    for key, value, known in (
        ("joint.statistics", config["joint"]["statistics"], ["shared", "task"]),
        ("normalization_statistics", config["normalization_statistics"], ["exact", "running"]),
    ):
        found.need(value in known, f"{key}={value}: {nearest(str(value), known)}")
    found.need(config["evaluations"] >= 1, f"evaluations={config['evaluations']}: give 1 or more.")
    for key in ("test", "val"):
        found.need(config["episodes"][key] >= 1, f"episodes.{key}={config['episodes'][key]}: give 1 or more.")
    held_out = config["episodes"]["held_out"]
    found.need(0 <= held_out < 1, f"episodes.held_out={held_out}: give a share in [0, 1).")
    image = config["image"]
    found.need(image["size"] is None or image["size"] >= 1, f"image.size={image['size']}: give 1 or more, or null.")
    found.need(image["channels"] in (None, 1, 3), f"image.channels={image['channels']}: give 1, 3 or null.")
