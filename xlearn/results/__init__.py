"""The results of a run: the target's metrics, the gain over baseline and bounds, forgetting, and cost.

In a run, only this package opens test splits. `files` reads and writes `result.json`.
"""
