"""Two commits side by side: the CPU seconds of small runs, in alternation.

    python scripts/bench/commits.py OLD [NEW] [--rounds 10] [--cases meta]     # commits; NEW: the working tree by default

Each commit has a process of its own, which keeps its imports; every run has a new cache. Prints for each case the mean of the
ratios NEW / OLD of two runs that follow each other, with its 95 % interval. The bound: the interval lies below 1.05.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from same_bits import ROOT, _checkout

SMALL = ["budget.pretrain.epochs=null", "budget.pretrain.steps=150", "budget.transfer.steps=150", "threads=1", "evaluations=2"]
CASES = {
    "loop": ["source=mnist5k", "target=optdigits"],
    "modalities": ["source=sentiment_amazon", "target=sentiment_movie", "encoder/text=text_cnn"],
    "balance": ["transfer=joint", "sharing=hard", "balance=pcgrad", "source=[mnist5k,mnist5k_parity]"],
    "adaptation": ["transfer=dann", "target.shots=0"],
    "meta": ["pretrain=fomaml", "pretrain.phases.meta.base_learner.vectorised=never", "budget.pretrain.steps=40"],
}
WORKER = """
import json, os, sys, tempfile, time
from contextlib import redirect_stdout
from io import StringIO
for line in sys.stdin:
    words = json.loads(line)
    from xlearn.commands.train import main
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        os.environ["XLEARN_CACHE"] = folder + "/cache"
        before = time.process_time()
        code = main([*words, f"hydra.run.dir={folder}/run"])
        spent = time.process_time() - before
    print(json.dumps([code, spent]), flush=True)
"""
# The 97.5 % quantiles of Student's distribution, by degrees of freedom.
QUANTILES = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 14: 2.145, 19: 2.093}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="+", metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        old, new = (
            _worker(_checkout(commit, Path(folder) / side))
            for commit, side in zip([*options.commits, ""][:2], ("old", "new"), strict=True)
        )
        for name in options.cases:
            words = CASES[name]
            pairs = []
            for turn in range(options.rounds + 1):
                both = [_spent(each, [*SMALL, *words]) for each in ((old, new) if turn % 2 else (new, old))]
                pairs.append(both if turn % 2 else both[::-1])
            logs = [math.log(after / before) for before, after in pairs[1:]]  # without the turn that imports
            mean = statistics.mean(logs)
            half = QUANTILES.get(len(logs) - 1, 2.3) * statistics.stdev(logs) / math.sqrt(len(logs))
            low, ratio, high = (math.exp(mean + side * half) for side in (-1, 0, 1))
            seconds = statistics.median(before for before, _ in pairs[1:])
            print(f"{name}: {ratio:.3f} ({low:.3f} to {high:.3f}; {seconds:.1f} CPU seconds before)", flush=True)
            worst = max(worst, high)
    return 1 if worst >= 1.05 else 0


def _worker(place: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=tempfile.mkdtemp(), env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _spent(worker: "subprocess.Popen[str]", words: list[str]) -> float:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(json.dumps(words) + "\n")
    worker.stdin.flush()
    code, seconds = json.loads(worker.stdout.readline())
    if code:
        raise SystemExit(f"{' '.join(words)} failed in {ROOT}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
