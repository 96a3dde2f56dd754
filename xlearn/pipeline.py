"""One run: source phases, copying of weights, target phases, the baseline, and one evaluation on the test split."""

import json
import platform
import subprocess
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from xlearn.data.leakage import USED, used_rows
from xlearn.data.prepare import tiny
from xlearn.learners import comparisons
from xlearn.networks.network import tensors
from xlearn.phases.phase import Setting
from xlearn.plan.components import Components
from xlearn.plan.tasks import prepared
from xlearn.results.episodic_outcome import check_target, episodic_outcome, fewest
from xlearn.results.files import write_result
from xlearn.results.network import WEIGHTS, final
from xlearn.results.target import Learned, check_robustness, outcome
from xlearn.runtime.cache import Cache
from xlearn.runtime.errors import Interrupted
from xlearn.runtime.fingerprints import stamp
from xlearn.runtime.interrupt import asked
from xlearn.runtime.machine import Machine
from xlearn.runtime.storage import write_tensors, write_text

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scipy", "scikit-learn", "pot", "mlxtend", "datasets")


@dataclass
class Run:
    """A run and its folder. `small`: a smoke test with two examples per class and two steps per phase."""

    components: Components
    machine: Machine
    folder: Path
    cache: Cache
    recomputed: set[str] = field(default_factory=set)
    small: bool = False

    def __call__(self) -> dict[str, Any]:
        """Execute the run, write all files into its folder (`result.json` last), and return the content of `result.json`."""
        began = time.monotonic()
        components, config = self.components, self.components.config
        stamped = stamp(config)  # before reading the files, so that a change during the run is detected later
        roles, forms = prepared(components)
        if self.small:
            few = partial(tiny, per_class=fewest(components))
            roles = {role: {name: few(task) for name, task in tasks.items()} for role, tasks in roles.items()}
            forms = forms and {role: {name: tiny(task) for name, task in tasks.items()} for role, tasks in forms.items()}
        if (number := asked()) is not None:
            raise Interrupted("stopped before the first phase", number)
        target = roles["target"]["target"]
        own = comparisons.own(components, roles, forms)
        own.check()
        baseline = comparisons.baseline(components, roles)
        bounding = comparisons.bounds(components, roles, baseline)
        alone, single = comparisons.each_modality(components, roles), comparisons.each_task(components, roles)
        for each in (baseline, *bounding.values(), *alone.values(), *single.values()):
            each.check()
        own.check_augmentations()
        check_robustness(components, target)
        if components.episodic:
            check_target(components, target)
        setting = self._make_setting()
        self._lines = (self.folder / "metrics.jsonl").open("w", encoding="utf-8")
        with self._lines:
            phases = {"own": own.learn(setting), "baseline": baseline.learn(setting)}
            for name, each in alone.items():
                phases[name] = each.learn(replace(setting, report=partial(self._write_line, alone=name)))
            for name, each in bounding.items():
                report = partial(self._write_line, bound=name)
                phases[f"bound {name}"] = (
                    phases["baseline"] if each is baseline else each.learn(replace(setting, report=report))
                )
            for role, each in single.items():
                phases[f"single {role}"] = each.learn(replace(setting, report=partial(self._write_line, single=role)))
        if own.carried is not None:
            write_text(self.folder / "transfer.json", json.dumps(own.carried.report(), indent=1))
        learned = Learned(components, own, baseline, alone, single, bounding)
        measured = episodic_outcome if components.episodic else outcome
        found = measured(learned, phases, roles, self.machine, self.folder)
        result = {**found, "stamp": stamped, "git": git_commit(), "versions": versions(), "seconds": time.monotonic() - began}
        write_tensors(self.folder / WEIGHTS, tensors(final(own)))
        write_tensors(self.folder / USED, used_rows([target, *roles["source"].values()]))
        result = write_result(self.folder, result)
        if (number := asked()) is not None:
            raise Interrupted("stopped after a finished run", number)
        return result

    def _make_setting(self) -> Setting:
        config = self.components.config
        return Setting(
            seed=config["seed"],
            machine=self.machine,
            cache=self.cache,
            metric=config["metric"],
            evaluations=config["evaluations"],
            checkpoint_seconds=config["checkpoint_seconds"],
            recomputed=self.recomputed if config["force"] else None,
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
