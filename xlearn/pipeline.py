"""One run: source phases, copying of weights, target phases, the baseline, and one evaluation on the test split."""

import json
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from xlearn.data import provenance
from xlearn.data.prepare import tiny
from xlearn.data.task import Task
from xlearn.learners import comparisons
from xlearn.learners.own import own as make_own
from xlearn.networks.network import tensors
from xlearn.phases.phase import Setting
from xlearn.plan.components import Components
from xlearn.plan.smaller import fewest, smaller
from xlearn.plan.tasks import prepared, target_alone
from xlearn.results.files import write_result
from xlearn.results.network import WEIGHTS, final
from xlearn.results.robustness import check_robustness
from xlearn.results.target import Learned, outcome
from xlearn.runtime.cache import Cache
from xlearn.runtime.errors import Interrupted, need_all
from xlearn.runtime.fingerprints import stamp
from xlearn.runtime.interrupt import asked
from xlearn.runtime.machine import Machine
from xlearn.runtime.storage import write_tensors, write_text

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scipy", "scikit-learn", "pot", "mlxtend", "datasets")


@dataclass
class Run:
    """A run and its folder. `config`: the configuration that its result records. `command`: the id of the command, for
    `force=true`. `small`: a smoke test with few examples per class and two steps per phase.
    """

    components: Components
    config: dict[str, Any]
    machine: Machine
    folder: Path
    cache: Cache
    command: str = ""
    small: bool = False

    def __call__(self) -> dict[str, Any]:
        """Execute the run, write all files into its folder (`result.json` last), and return the content of `result.json`."""
        began = time.monotonic()
        components, config = self.components, self.config
        stamped = stamp(config)  # before reading the files, so that a change during the run is detected later
        tasks = prepared(components)
        if self.small:
            components = smaller(components)
            tasks = tasks.each(self._few(components))
        roles = tasks.roles
        if (number := asked()) is not None:
            raise Interrupted("stopped before the first phase", number)
        target = roles["target"]["target"]
        own = make_own(components, roles, tasks.forms)
        # All problems at once, each once; those of the comparisons if the run itself can be trained.
        checks = [*own.checks(), own.check_augmentations, partial(check_robustness, components.robustness, target)]
        need_all([*checks, *(partial(each.check, target) for each in (components.measuring, components.baseline_measuring))])
        compared = comparisons.compared(components, tasks, own, self._target_alone)
        need_all([check for each in compared for check in each.learner.checks()])
        setting = self._make_setting()
        self._lines = (self.folder / "metrics.jsonl").open("w", encoding="utf-8")
        with self._lines:
            phases = {"own": own.learn(setting)}
            learned: dict[int, str] = {}
            for each in compared:
                # One network may be both the baseline and a bound.
                same = learned.setdefault(id(each.learner), each.phases)
                report = partial(self._write_line, compared="/".join(each.place), **each.tag)
                phases[each.phases] = phases[same] if same in phases else each.learner.learn(replace(setting, report=report))
        if own.carried is not None:
            private = own.network.sharing.report()
            report = {**own.carried.report(), **({"private_layers": private} if private else {})}
            write_text(self.folder / "transfer.json", json.dumps(report, indent=1))
        found = outcome(Learned(components, own, compared), phases, roles, config, self.machine, self.folder)
        result = {**found, "stamp": stamped, "git": git_commit(), "versions": versions(), "seconds": time.monotonic() - began}
        learned_from = provenance.of_tasks([target, *roles["source"].values()]).joined(components.learned_before())
        write_tensors(self.folder / WEIGHTS, tensors(final(own)), learned_from.header())
        result = write_result(self.folder, result)
        if (number := asked()) is not None:
            raise Interrupted("stopped after a finished run", number)
        return result

    def _target_alone(self, encoders: Mapping[str, partial[Any]]) -> Task:
        task = target_alone(self.components, encoders)
        return self._few(smaller(self.components))(task) if self.small else task

    @staticmethod
    def _few(components: Components) -> Callable[[Task], Task]:
        return partial(tiny, per_class=fewest(components))

    def _make_setting(self) -> Setting:
        options = self.components.options
        return Setting(
            seed=options.seed,
            machine=self.machine,
            cache=self.cache,
            metric=options.metric,
            evaluations=1 if self.small else options.evaluations,
            statistics=options.statistics,
            checkpoint_seconds=options.checkpoint_seconds,
            forced=self.command if options.force else None,
            pretrained=self.components.pretrained_of("target"),
            report=self._write_line,
        )

    def _write_line(self, line: dict[str, Any], **which: str) -> None:
        self._lines.write(json.dumps({**line, **which}) + "\n")
        self._lines.flush()


@lru_cache
def versions() -> dict[str, str]:
    """The versions of xlearn, Python and the packages that affect the numbers."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("xlearn", *PACKAGES)}}


@lru_cache
def git_commit() -> str | None:
    """The commit of the working directory, with `+` when it has changes; None outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return f"{commit}{'+' if git('status', '--porcelain', '-uno') else ''}" if commit else None
