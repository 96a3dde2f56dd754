"""A sweep on one worker and on two: seconds, processor time and memory of the whole tree of processes. Linux only.

`table`: the 45 runs of `xlearn table digits --run` from an empty cache, with one worker and with two, beside two bare loops one
after the other and at once, which shows what the two cores give; and the memory of both, beside that of the imports. `start`:
the seconds until a worker can take a job. `tiny`: 400 runs of one step, in processor seconds a run, and the memory after 40
runs and the highest. Memory is proportional (PSS): pages that several processes share are counted once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
BARE = """
import sys, torch
from torch import nn
torch.set_num_threads(1)
torch.manual_seed(0)
x, y = torch.rand(256, 1, 28, 28), torch.randint(0, 10, (256,))
net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(),
                    nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(net.parameters(), fused=True)
print("ready", flush=True)
sys.stdin.readline()
for step in range(int(sys.argv[1])):
    index = torch.randint(0, 256, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x[index]), y[index]).backward()
    optimizer.step()
"""
IMPORTS = "import time\nimport xlearn.commands.imported\nprint('ready', flush=True)\ntime.sleep(60)"
START = """
import time
from xlearn.commands.processes import context
from xlearn.commands.imported import worker
if __name__ == "__main__":
    for attempt in ("the first, with the process that it is forked from", "the second"):
        began = time.perf_counter()
        mine, theirs = context().Pipe()
        process = context().Process(target=theirs.send, args=("ready",))
        process.start()
        mine.recv()
        print(f"start of a worker: {time.perf_counter() - began:.2f} s ({attempt}; at most 4 s)", flush=True)
        process.join()
"""


class Tree:
    """A command in a session of its own, and what all of its processes use."""

    def __init__(self, command: list[str], folder: str) -> None:
        environment = {**os.environ, "XLEARN_CACHE": str(Path(folder) / "cache"), "PYTHONPATH": os.getcwd()}
        self.output = Path(folder) / "output.txt"
        with self.output.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self.spent: dict[int, float] = {}
        self.began = time.perf_counter()

    def processes(self) -> dict[int, list[str]]:
        """Number -> the fields of /proc/N/stat from the third on, of each process of the session."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                found[int(path.parent.name)] = fields
        return found

    def look(self) -> float:
        """Note the processor seconds so far; the proportional memory of all processes in MB."""
        memory = 0.0
        for number, fields in self.processes().items():
            self.spent[number] = (int(fields[11]) + int(fields[12])) / TICKS
            try:
                rollup = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="utf-8")
            except OSError:
                continue
            memory += sum(int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        return memory

    def wait(self, after: int | None = None, folder: Path | None = None) -> tuple[float, float, float, float]:
        """(seconds, processor seconds, peak memory, memory when `after` runs in the folder were finished)."""
        peak = then = 0.0
        while self.process.poll() is None:
            now = self.look()
            peak = max(peak, now)
            if after and folder and not then and len(list(folder.glob("*/result.json"))) >= after:
                then = now
            time.sleep(0.25)
        seconds = time.perf_counter() - self.began
        if self.process.returncode != 0:
            sys.exit(self.output.read_text(encoding="utf-8"))
        return seconds, sum(self.spent.values()), peak, then


def xlearn(*words: str) -> list[str]:
    return [sys.executable, "-m", "xlearn", *words]


def bare(steps: int, at_once: bool) -> float:
    """Seconds of two bare loops."""
    started = [
        subprocess.Popen([sys.executable, "-c", BARE, str(steps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in started:
        assert each.stdout is not None
        each.stdout.readline()
    began = time.perf_counter()
    for each in started:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
        if not at_once:
            each.wait()
    for each in started:
        each.wait()
    return time.perf_counter() - began


def table(words: list[str]) -> None:
    seconds, memory, every = {}, {}, []
    for workers in (1, 2):
        before = bare(600, at_once=False), bare(600, at_once=True)
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(xlearn("table", "digits", "--run", f"workers={workers}", *words), folder)
            seconds[workers], spent, memory[workers], _ = tree.wait()
        after = bare(600, at_once=False), bare(600, at_once=True)
        cores = (before[1] / before[0] + after[1] / after[0]) / 2
        every.append(cores)
        print(
            f"table digits, {workers} worker(s): {seconds[workers]:.1f} s, {spent:.1f} processor s, {memory[workers]:.0f} MB; "
            f"two bare loops at once / one after the other: {cores:.3f}",
            flush=True,
        )
    ratio, cores = seconds[2] / seconds[1], sum(every) / 2
    print(f"two workers / one: {ratio:.3f}, and {ratio / cores:.2f} of the ratio of the bare loops (at most 1.08)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree([sys.executable, "-c", IMPORTS], folder)
        while "ready" not in tree.output.read_text(encoding="utf-8"):
            time.sleep(0.2)
        imports = tree.look()
        tree.process.kill()
    bound = 1.4 * memory[1] + imports
    print(f"memory: 1 process {memory[1]:.0f} MB, 2 workers {memory[2]:.0f} MB, imports {imports:.0f} MB (at most {bound:.0f})")


def tiny(count: int, words: list[str]) -> None:
    few = ["budget.pretrain.epochs=null", "budget.pretrain.steps=1", "budget.transfer.steps=1", "evaluations=1", "source=none"]
    few += ["transfer=scratch", "encoder/image=mlp", "experiment=tiny", f"seed=range(0,{count})", *words]
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(xlearn("train", "-m", *few, f"workers={workers}"), folder)
            seconds, spent, peak, then = tree.wait(count // 10, Path(folder) / "outputs" / "tiny")
            print(
                f"{count} tiny runs, workers={workers}: {seconds:.0f} s, {spent / count:.3f} processor s a run (at most 0.15)",
                f"memory after {count // 10} runs {then:.0f} MB, at most {peak:.0f} MB ({peak - then:+.0f}; at most +50)",
                sep="; ",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="table, start, tiny (default: all), and overrides of the sweeps")
    given = parser.parse_args().parts
    words = [each for each in given if "=" in each]
    parts = [each for each in given if "=" not in each] or ["start", "tiny", "table"]
    if "start" in parts:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "start.py").write_text(START, encoding="utf-8")
            subprocess.run([sys.executable, str(Path(folder) / "start.py")], check=True)
    if "tiny" in parts:
        tiny(400, words)
    if "table" in parts:
        table(words)


if __name__ == "__main__":
    main()
