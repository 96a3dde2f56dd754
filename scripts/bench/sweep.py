"""The 45-run sweep in a fresh cache: its overhead beside the training in it, and the same command again."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = ["-m", "transfer=scratch,linear_probe,finetune,lp_ft,l2_sp", "target.shots=1,5,20", "seed=0,1,2"]


def main() -> None:
    extra = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XLEARN_CACHE": str(Path(folder) / "cache")}
        command = [sys.executable, "-m", "xlearn", "train", *SWEEP, *extra]
        for again in (False, True):
            begun = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
            seconds = time.perf_counter() - begun
            files = Path(folder).glob("outputs/*/*/result.json")
            results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
            phases = {phase["key"]: phase for each in results for phase in (*each["phases"], *each["baseline"]["phases"])}
            training = 0.0 if again else sum(phase["seconds"] for phase in phases.values())
            sources = sum(phase["name"] == "pretrain" for phase in phases.values())
            bound = 1.3 * training + 0.6 * len(results)
            print(
                f"{'again' if again else 'first'}: {len(results)} runs in {seconds:.1f} s; training {training:.1f} s in "
                f"{0 if again else len(phases)} phases ({0 if again else sources} source trainings); beside the training "
                f"{(seconds - training) / len(results):.2f} s per run; promised at most {bound:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
