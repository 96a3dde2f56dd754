"""What a finished run found: the target's metrics, the gain over baseline and bounds, forgetting, cost.

Test splits are opened here and nowhere else; `files` reads and writes `result.json`.
"""
