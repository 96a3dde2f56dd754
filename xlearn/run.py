"""One run: source phases, carrying over, target phases, the baseline, and one look at the test split."""

import json
import platform
import subprocess
import time
from dataclasses import dataclass, field
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
from xlearn.phase import Phase, Roles, Setting, check, rates
from xlearn.phases import solve
from xlearn.plan import Plan
from xlearn.prepare import common_spec, need_apart, need_same_splits, prepare, tiny
from xlearn.sharing.none import none
from xlearn.stamps import stamp
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
    recomputed: set[str] = field(default_factory=set)
    small: bool = False

    def __call__(self) -> dict[str, Any]:
        """Do it, write everything into the folder, `result.json` last, and return its content."""
        began = time.monotonic()
        plan, image = self.plan, self.plan.config["image"]
        stamped = stamp(plan.config)  # before the files are read: what changes meanwhile is noticed the next time
        spec = common_spec([*plan.sources, plan.target], image["size"], image["channels"])
        target = self._task(plan.target, spec)
        sources = {each.name: self._task(each, spec) for each in plan.sources} if plan.carries else {}
        need_apart(sources, target)
        if (number := asked()) is not None:
            raise Interrupted("stopped before the first phase", number)
        roles: Roles = {"source": sources, "target": {"target": target}}
        network, baseline = (plan.network(spec, [target.labels], "target", weights=False) for _ in range(2))
        self._setting = self._make_setting(spec)
        teacher = self._teacher(network, spec, roles) if plan.carries else None
        for phase, learner in self._order(teacher, network, baseline):
            check(phase, learner, roles)
        self._lines = (self.folder / "metrics.jsonl").open("w", encoding="utf-8")
        with self._lines:
            phases, copied = [], frozenset()
            if teacher is not None:
                phases = self._chain(teacher, plan.pretrain, roles, copied)
                carry(tensors(teacher), network, self._carried)
                write_text(self.folder / "transfer.json", json.dumps(self._carried.report(), indent=1))
                copied = frozenset(self._carried.copied)
            phases += self._chain(network, plan.transfer, roles, copied)
            before = self._chain(baseline, plan.baseline, roles, frozenset())
        result = self._result(network, baseline, roles, phases, before)
        result |= {"stamp": stamped, "seconds": time.monotonic() - began}
        write_tensors(self.folder / "weights.safetensors", tensors(network))
        write_text(self.folder / "result.json", json.dumps(result, indent=1))
        if (number := asked()) is not None:
            raise Interrupted("stopped after a finished run", number)
        return result

    def _order(self, teacher: Network | None, network: Network, baseline: Network) -> list[tuple[Phase, Network]]:
        """Every phase with the network it trains, in the order they will run."""
        plan = self.plan
        found = [(phase, teacher) for phase in plan.pretrain] if teacher is not None else []
        return [*found, *((phase, network) for phase in plan.transfer), *((phase, baseline) for phase in plan.baseline)]

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
            recomputed=self.recomputed if config["force"] else None,
            network=self.plan.network_document(spec),
            report=self._write_line,
        )

    def _write_line(self, line: dict[str, Any]) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _teacher(self, network: Network, spec: ImageSpec, roles: Roles) -> Network:
        """The source's network, with the weights it starts from; what will travel to `network` is chosen here.

        Chosen before any training, from the names alone: what cannot work is refused now. Only what was learned may
        travel; random weights are fresh wherever they come from.
        """
        plan, sources, target = self.plan, roles["source"], roles["target"]["target"]
        spaces = {task.labels.key: task.labels for task in sources.values()} or {target.labels.key: target.labels}
        teacher = plan.network(spec, list(spaces.values()), "source", weights=plan.encoder_weights)
        learned = {name for name in tensors(teacher) if plan.encoder_weights and name.startswith("encoder.")}
        if plan.start is not None:
            need_same_splits(plan.start.keywords.get("path"), target)
            given = plan.start(teacher)
            load(teacher, given)
            learned |= given.keys()
        if plan.pretrain:
            learned = set(tensors(teacher))
        names = f"{' + '.join(task.name for task in sources.values()) or 'weights'} -> {target.name}"
        source = {name: value for name, value in tensors(teacher).items() if name in learned}
        self._carried = choose(source, network, plan.sharing, names)
        trained = {name for phase in plan.transfer for name in rates(phase, network)}
        dead = [name for name, _ in network.named_parameters() if name in self._carried.fresh and name not in trained]
        # `sharing=none` may be asked for to see what random features do, but then something has to be trained.
        if dead and (plan.sharing.func is not none or not plan.transfer):
            choices = plan.config["choices"]
            listed = "; ".join(f"{task.name} {', '.join(task.labels.classes[:12])}" for task in (*sources.values(), target))
            raise Problem(
                f"sharing={choices.get('sharing')} does not copy {dead[0]}{' and others' * (len(dead) > 1)} from {names}, and "
                f"transfer={choices.get('transfer')} does not train it: it would stay random (classes: {listed}). Use a "
                "sharing that copies it (a head is only copied between tasks of the same classes), or a transfer that "
                "trains it, e.g. finetune."
            )
        return teacher

    def _chain(self, network: Network, phases: tuple[Phase, ...], roles: Roles, copied: frozenset[str]) -> list[dict[str, Any]]:
        """Solve phases one after the other; what each reported, without its records."""
        incoming, done = weights_digest(tensors(network)), []
        for phase in phases:
            entry = solve(network, phase, roles, copied, incoming, self._setting)
            incoming = entry.digest
            done.append({name: value for name, value in entry.report.items() if name not in ("records", "document")})
        return done

    def _result(
        self, network: Network, baseline: Network, roles: Roles, phases: list[dict[str, Any]], before: list[dict[str, Any]]
    ) -> dict[str, Any]:
        config, target = self.plan.config, roles["target"]["target"]
        test = target.test.open()
        found = logits(network, test, self.machine)
        metrics = measure(found, test.labels, target.labels.classes)
        compared = measure(logits(baseline, test, self.machine), test.labels, target.labels.classes)
        write_tensors(self.folder / "predictions.safetensors", {"logits": found, "labels": test.labels, "rows": test.rows})
        used = (*self.plan.transfer, *(self.plan.pretrain if self.plan.carries else ()))
        tasks = {"target": target, **{f"source.{name}": task for name, task in roles["source"].items()}}
        return {
            "config": {name: value for name, value in config.items() if name != "choices"},
            "choices": config["choices"],
            "metrics": metrics,
            "baseline": {"name": config["choices"].get("transfer@baseline", "scratch"), "metrics": compared, "phases": before},
            "gain": gain(metrics, compared),
            "selection": sorted({phase.keep for phase in used}),
            "phases": phases,
            "data": {
                name: {"name": task.name, "data": task.data, "fingerprint": task.fingerprint, **task.notes}
                for name, task in tasks.items()
            },
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
