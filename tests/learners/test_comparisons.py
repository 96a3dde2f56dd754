"""The networks that a run is compared with: each is built once."""

import pytest
from toys.runs import only

from xlearn.commands.train import main
from xlearn.learners import comparisons


@pytest.mark.parametrize(("shots", "baseline"), [(0, "source_only"), (5, "scratch")])
def test_the_source_s_network_is_built_once(shots, baseline, toy, monkeypatch):
    """Where the target has no labels it is the baseline and a bound; else it is a bound only."""
    made, real = [], comparisons.Plan.source_only
    monkeypatch.setattr(comparisons.Plan, "source_only", lambda *given: made.append(1) or real(*given))
    assert main([*toy, "transfer=mmd", f"target.shots={shots}"]) == 0
    _, result = only()
    bound = result["bounds"]["source_only"]
    assert len(made) == 1 and result["baseline"]["name"] == baseline
    assert (bound["metrics"] == result["baseline"]["metrics"]) == (baseline == "source_only")
    # Learned once too: the same phases, with the same report of whether they came from the cache.
    assert (bound["phases"] == result["baseline"]["phases"]) == (baseline == "source_only")
