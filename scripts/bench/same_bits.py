"""Whether two commits train the same weights, bit for bit: ten runs, one for each family, alternating on this machine.

    python scripts/bench/same_bits.py OLD [NEW]     # commits; NEW is the working tree by default

Each commit gets a separate checkout and cache. Compared by value: the tensors of `weights.safetensors` (names may change),
the predictions on the test split, and the metrics of the run and of its baseline.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = {
    "default": [],
    "dann without target labels": ["transfer=dann", "target.shots=0"],
    "joint, pcgrad": ["transfer=joint", "sharing=hard", "balance=pcgrad", "source=[mnist5k,mnist5k_parity]"],
    # The inner loop is chosen by a measurement, which may differ between caches: it is fixed here.
    "fomaml": ["pretrain=fomaml", "pretrain.phases.meta.base_learner.vectorised=never"],
    "protonet, episodes": [
        "pretrain=protonet", "transfer=episodes", "target.shots=1", "source=omniglot_small1", "target=omniglot_small2",
        "target.without=[Greek,Latin]", "encoder/image=conv4",
    ],
    "simclr": ["pretrain=simclr"],
    "text": ["source=sentiment_amazon", "target=sentiment_movie", "encoder/text=text_cnn"],
    "kd with a teacher": [
        "transfer=kd", "source=mnist5k", "target=mnist5k", "target.shots=20", "teacher/image=cnn",
        "encoder.image.widths=[4,8,8]",
    ],
    "sound": ["source=fsdd_george", "target=fsdd_theo"],
    "two modalities": ["source=none", "transfer=scratch", "target=emoji", "target.shots=null", "fusion=gated"],
}  # fmt: skip


def main() -> int:
    from safetensors.torch import load_file

    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    commits = [*sys.argv[1:3], *[""] * (3 - len(sys.argv))]
    different = []
    with tempfile.TemporaryDirectory() as folder:
        checkouts = [_checkout(commit, Path(folder) / side) for commit, side in zip(commits, ("old", "new"), strict=True)]
        for number, (name, words) in enumerate(RUNS.items()):
            seconds, found = [], []
            for place, side in zip(checkouts, ("old", "new"), strict=True):
                run = Path(folder) / "runs" / side / str(number)
                seconds.append(_train(place, run, [*words, "budget=quick", "threads=1"], Path(folder) / f"cache_{side}"))
                result = json.loads((run / "result.json").read_text(encoding="utf-8"))
                tensors = {each: load_file(run / f"{each}.safetensors") for each in ("weights", "predictions")}
                values = {
                    each: sorted(
                        (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
                        for name, value in given.items()
                        if not name.startswith("correct.")  # an older commit does not write this
                    )
                    for each, given in tensors.items()
                }
                found.append({**values, "metrics": result["metrics"], "baseline": result["baseline"]["metrics"]})
            differs = [each for each in found[0] if found[0][each] != found[1][each]]
            different += [name] if differs else []
            told = f"differs in {', '.join(differs)}" if differs else "the same"
            print(f"{name}: {told} ({len(found[0]['weights'])} tensors; {seconds[0]:.1f} and {seconds[1]:.1f} s)", flush=True)
    print(f"{len(RUNS) - len(different)} of {len(RUNS)} runs are the same, bit for bit")
    return 1 if different else 0


def _checkout(commit: str, place: Path) -> Path:
    """The folder of a commit's files; the working tree for none."""
    if not commit:
        return ROOT
    place.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit, "xlearn", "conf"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=place, input=archive, check=True)
    return place


def _train(place: Path, folder: Path, words: list[str], cache: Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(place), "XLEARN_CACHE": str(cache)}
    folder.mkdir(parents=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "xlearn", "train", *words, f"hydra.run.dir={folder}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
