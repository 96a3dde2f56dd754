"""Start-up time of commands that do not train: wall time of whole processes, median of several."""

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "xlearn --help": (["--help"], 0.2),
    "xlearn show": (["show"], None),
    "xlearn train --cfg job": (["train", "--cfg", "job"], 1.2),
    "completion of `xlearn train transfer=`": (["-sc", "query=bash"], 1.2),
}
ROUNDS = 9


def main() -> None:
    environment = {**os.environ, "COMP_LINE": "xlearn train transfer=", "COMP_POINT": "22"}
    for name, (words, bound) in COMMANDS.items():
        seconds = []
        for attempt in range(ROUNDS + 1):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-m", "xlearn", *words], env=environment, capture_output=True, check=True)
            if attempt:  # the first start reads files from the disk
                seconds.append(time.perf_counter() - begun)
        promised = f" (promised {bound} s)" if bound else ""
        print(
            f"{name}: {statistics.median(seconds):.2f} s, from {min(seconds):.2f} to {max(seconds):.2f}{promised}", flush=True
        )


if __name__ == "__main__":
    main()
