"""What a person sees of a sweep: a line for each run that ends, and in a terminal a line for each run in progress."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from xlearn.commands.jobs import Job
from xlearn.commands.worker import Outcome
from xlearn.commands.workers import Sweep
from xlearn.runtime.printable import printable

# Keys whose values stand in the title of a run.
IN_TITLE = ("source", "target", "transfer", "sharing", "seed", "target.shots", "target.fraction", "target.imbalance")
IN_TITLE = (*IN_TITLE, "target.draw", "target.folds", "target.fold", "experiment")


@dataclass
class Progress:
    """Of `total` runs. Finished runs are printed to stdout, with their test metric if `shows_results`; failures to stderr."""

    total: int
    shows_results: bool = True
    began: float = field(default_factory=time.monotonic)
    ended: Counter[str] = field(default_factory=Counter)
    bars: dict[int, "tqdm[Any]"] = field(default_factory=dict)

    def add(self, job: Job, outcome: Outcome, sweep: Sweep) -> None:
        """Print the end of a job."""
        self.ended[outcome.kind] += 1
        if outcome.kind == "interrupted":
            return
        varied = [word for word in job.overrides if word.partition("=")[0].lstrip("+") not in IN_TITLE]
        result = f"{outcome.line} [{' '.join(varied)}]" if varied else outcome.line
        line = (result if self.shows_results else job.name) + " (done before)" * (outcome.kind == "cached")
        if outcome.kind == "failed":
            self._print(f"error: {outcome.line}", sys.stderr)
            line = f"{job.name}: failed"
        self._print(f"{self.state(sweep)}: {line}", sys.stdout)

    def state(self, sweep: Sweep) -> str:
        """`run 12 of 45, 3 in progress, 3 minutes left`"""
        number, running = sum(self.ended.values()), sweep.in_progress()
        computed = number - self.ended["cached"]
        left = self.total - number
        parts = [f"run {number} of {self.total}"]
        parts += [f"{running} in progress"] if running else []
        if computed and left > 0:
            parts.append(f"{duration((time.monotonic() - self.began) / computed * left)} left")
        return ", ".join(parts)

    def left(self) -> int:
        """The number of runs that did not end: interrupted, or not begun."""
        return self.total - sum(self.ended.values()) + self.ended["interrupted"]

    def watch(self, sweep: Sweep) -> None:
        """Draw the runs in progress, if stderr is a terminal."""
        if not sys.stderr.isatty():
            return
        running = sweep.running()
        self._draw(0, self.state(sweep), None)
        for position, worker in enumerate(running, start=1):
            self._draw(position, worker.job.name if worker.job else "", worker.step)
        for position in [each for each in self.bars if each > len(running)]:
            self.bars.pop(position).close()

    def close(self) -> None:
        for bar in self.bars.values():
            bar.close()
        self.bars.clear()

    def summary(self) -> str:
        """`45 runs in 3 minutes: 40 computed, 5 done before`"""
        words = {"done": "computed", "cached": "done before", "failed": "failed", "interrupted": "interrupted"}
        parts = [f"{self.ended[kind]} {word}" for kind, word in words.items() if self.ended[kind]]
        left = self.total - sum(self.ended.values())
        parts += [f"{left} not begun"] if left > 0 else []
        return f"{self.total} runs in {duration(time.monotonic() - self.began)}: {', '.join(parts) or 'none'}"

    def _draw(self, position: int, text: str, at: tuple[str, int, int] | None) -> None:
        """Draw a line: a text, and how far (phase, step, steps) has got."""
        if position not in self.bars:
            self.bars[position] = tqdm(total=0, position=position, leave=False)
        bar = self.bars[position]
        if at is None:
            bar.bar_format = "{desc}"
        else:
            phase, bar.n, bar.total = at
            text, bar.bar_format = f"{text}: {phase}", "{desc} |{bar}| {n_fmt}/{total_fmt}"
        bar.set_description_str(text, refresh=False)
        bar.refresh()

    def _print(self, text: str, stream: Any) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            print(printable(text), file=stream, flush=True)


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}s"
    count = max(1, round(seconds))
    return f"{count} second{'s' * (count != 1)}"
