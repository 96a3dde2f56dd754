"""A sweep of four runs on two workers; each worker is killed at each of 20 moments, and every run ends with the same bits.

Weights, predictions, used rows and results (without seconds, memory and what was cached) are compared with those of a sweep
that nothing disturbed. Linux only. The moments are spread evenly over the time from the first step to the end.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from toys.runs import toy_folder
from toys.sweeps import LONG, command, same, start, workers_of

MOMENTS = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = [*command(toy_folder(folder), *LONG), "transfer=finetune,lp_ft", "seed=0,1"]
        _, seconds, _ = swept(words, folder / "undisturbed", None)
        ended = again = 0
        for number in range(MOMENTS):
            for which in (0, 1):
                place = folder / f"{number} {which}"
                killed, _, told = swept(words, place, (which, seconds * (number + 0.5) / MOMENTS))
                same(folder / "undisturbed" / "outputs", place / "outputs")
                ended, again = ended + killed, again + told.count("it is tried once more at the end")
        print(f"{2 * MOMENTS} sweeps, {ended} workers killed, {again} of them with a job, which was run again: the same bits")


def swept(words: list[str], folder: Path, kill: tuple[int, float] | None) -> tuple[bool, float, str]:
    """(whether a worker was killed, seconds from the first step to the end, what was printed)."""
    folder.mkdir()
    process, killed = start(words, folder), False
    while not list(folder.rglob("metrics.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    began = time.monotonic()
    if kill is not None:
        which, after = kill
        time.sleep(after)
        alive = workers_of(process)
        if which < len(alive):
            alive[which].kill()
            killed = True
    _, told = process.communicate()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, words, stderr=told)
    return killed, time.monotonic() - began, told


if __name__ == "__main__":
    main()
