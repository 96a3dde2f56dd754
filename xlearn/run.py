"""One run: source phases, carrying over, target phases, the baseline, and one look at the test split."""

import json
import platform
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from xlearn.cache import Cache, weights_digest
from xlearn.carry import carry, choose
from xlearn.errors import Interrupted, Problem
from xlearn.evaluate import logits
from xlearn.hashing import code_digest
from xlearn.interrupt import asked
from xlearn.machine import Machine
from xlearn.metric_names import HIGHER_IS_BETTER
from xlearn.metrics import measure, scalars
from xlearn.network import Network, load, tensors
from xlearn.phase import Phase, Setting
from xlearn.phases import solve
from xlearn.plan import Plan
from xlearn.prepare import common_spec, prepare, tiny
from xlearn.storage import write_tensors, write_text
from xlearn.task import ImageSpec, Task

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scikit-learn", "mlxtend", "datasets")


@dataclass
class Run:
    """A run in its folder. `small`: two examples per class and two steps per phase, to see whether everything works."""

    plan: Plan
    machine: Machine
    folder: Path
    cache: Cache
    small: bool = False

    def __call__(self) -> dict[str, Any]:
        """Do it, write everything into the folder, `result.json` last, and return its content."""
        began = time.monotonic()
        plan, config = self.plan, self.plan.config
        image = config["image"]
        spec = common_spec([*plan.sources, plan.target], image["size"], image["channels"])
        target = self._task(plan.target, spec)
        sources = {each.name: self._task(each, spec) for each in plan.sources}
        network = plan.network(spec, [target.labels], "target", weights=False)
        self._lines = (self.folder / "metrics.jsonl").open("w", encoding="utf-8")
        with self._lines:
            self._setting = self._make_setting(spec)
            phases = self._transfer(network, spec, sources, target) if plan.carries else []
            copied = frozenset(self._carried.copied) if plan.carries else frozenset()
            incoming = weights_digest(tensors(network))
            phases += self._chain(network, plan.transfer, {"target": target}, sources, copied, incoming)
            baseline = plan.network(spec, [target.labels], "target", weights=False)
            incoming = weights_digest(tensors(baseline))
            before = self._chain(baseline, plan.baseline, {"target": target}, {}, frozenset(), incoming)
        result = self._result(network, baseline, target, sources, phases, before)
        result["seconds"] = time.monotonic() - began
        write_tensors(self.folder / "weights.safetensors", tensors(network))
        write_text(self.folder / "result.json", json.dumps(result, indent=1))
        if (number := asked()) is not None:
            raise Interrupted("stopped after a finished run", number)
        return result

    def _task(self, source: Any, spec: ImageSpec) -> Task:
        task = prepare(source, spec, self.plan.config["seed"])
        return tiny(task) if self.small else task

    def _make_setting(self, spec: ImageSpec) -> Setting:
        config = self.plan.config
        return Setting(
            seed=config["seed"],
            machine=self.machine,
            cache=self.cache,
            metric=config["metric"],
            evaluations=config["evaluations"],
            checkpoint_seconds=config["checkpoint_seconds"],
            force=config["force"],
            network=self.plan.network_document(spec),
            report=self._write_line,
        )

    def _write_line(self, line: dict[str, Any]) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _transfer(self, network: Network, spec: ImageSpec, sources: dict[str, Task], target: Task) -> list[dict[str, Any]]:
        """Learn on the source (or bring weights), then copy what the sharing chooses into the target's `network`."""
        plan = self.plan
        spaces = {task.labels.key: task.labels for task in sources.values()} or {target.labels.key: target.labels}
        teacher = plan.network(spec, list(spaces.values()), "source", weights=plan.encoder_weights)
        names = f"{' + '.join(sources) or 'checkpoint'} -> {target.name}"
        # Chosen before any training, from the names alone: what cannot work is refused now.
        self._carried = choose(tensors(teacher), network, plan.sharing, names)
        if plan.config["transfer"]["needs_head"]:
            self._need_head(sources, target)
        if plan.start is not None:
            load(teacher, plan.start(teacher))
        incoming = weights_digest(tensors(teacher))
        phases = self._chain(teacher, plan.pretrain, sources, {"target": target}, frozenset(), incoming)
        carry(tensors(teacher), network, self._carried)
        write_text(self.folder / "transfer.json", json.dumps(self._carried.report(), indent=1))
        return phases

    def _need_head(self, sources: dict[str, Task], target: Task) -> None:
        if any(name.startswith("head.") for name in self._carried.copied):
            return
        transfer = self.plan.config["choices"].get("transfer", "this transfer")
        listed = "; ".join(f"{task.name} {', '.join(task.labels.classes[:12])}" for task in (*sources.values(), target))
        sharing = self.plan.config["choices"].get("sharing")
        raise Problem(
            f"transfer={transfer} uses the source's head, and no head travels (sharing={sharing}; classes: {listed}). "
            "Use tasks of the same classes with sharing=all, or a transfer that trains a new head."
        )

    def _chain(
        self, network: Network, phases: tuple[Phase, ...], tasks: dict[str, Task], others: dict[str, Task],
        copied: frozenset[str], incoming: str,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Solve phases one after the other; what each reported, without its records."""
        roles = {"source": tasks, "target": tasks} if "target" not in tasks else {"target": tasks, "source": others}
        done = []
        for phase in phases:
            entry = solve(network, phase, roles[phase.reads], others, copied, incoming, self._setting)
            incoming = entry.digest
            done.append({name: value for name, value in entry.report.items() if name not in ("records", "document")})
        return done

    def _result(
        self, network: Network, baseline: Network, target: Task, sources: dict[str, Task],
        phases: list[dict[str, Any]], before: list[dict[str, Any]],
    ) -> dict[str, Any]:  # fmt: skip
        config = self.plan.config
        test = target.test.open()
        found = logits(network, test, self.machine)
        metrics = measure(found, test.labels, target.labels.classes)
        compared = measure(logits(baseline, test, self.machine), test.labels, target.labels.classes)
        write_tensors(self.folder / "predictions.safetensors", {"logits": found, "labels": test.labels, "rows": test.rows})
        kept = sorted({phase.document["keep"] for phase in (*self.plan.transfer, *self.plan.pretrain)})
        return {
            "config": {name: value for name, value in config.items() if name != "choices"},
            "choices": config["choices"],
            "metrics": metrics,
            "baseline": {"name": "scratch", "metrics": compared, "phases": before},
            "gain": gain(metrics, compared),
            "selection": kept,
            "phases": phases,
            "data": {task.name: {"fingerprint": task.fingerprint, **task.notes} for task in (target, *sources.values())},
            "machine": {**self.machine.signature(), "platform": platform.platform()},
            "versions": versions(),
            "code": code_digest(),
            "git": git_commit(),
        }


def gain(metrics: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """What transferring brought, metric by metric, with the sign that makes more better: below 0 it did harm."""
    before = scalars(baseline)
    return {
        name: value - before[name] if HIGHER_IS_BETTER[name] else before[name] - value
        for name, value in scalars(metrics).items()
    }


@lru_cache
def versions() -> dict[str, str]:
    """Of xlearn, Python and what takes part in the numbers."""
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
