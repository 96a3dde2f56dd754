"""The monitor of a phase: losses, validation scores, task weights of the balance, and the best network weights so far."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xlearn.balance.gradients import cosines
from xlearn.data.task import Task
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network
from xlearn.phases.fit import Record
from xlearn.phases.keeping import Checkpoints
from xlearn.phases.normalization import NormalizationStatistics
from xlearn.phases.phase import Phase, Setting
from xlearn.phases.update import Update
from xlearn.runtime.errors import Problem


class Monitor:
    """Evaluates a phase `evaluations` times: reads the losses, computes validation scores, reports, and keeps the best weights.

    `judges`: the names of the scores that select the weights. `valid`: functions that return a validation score, by name;
    `spaces` are the label spaces of their examples. `checkpoints`: the weights that the phase may return. The monitor's state
    can be saved and resumed.
    """

    def __init__(
        self,
        network: Network,
        phase: Phase,
        update: Update,
        tasks: Mapping[str, Task],
        judges: Sequence[str],
        valid: Mapping[str, Callable[[], float]],
        spaces: Mapping[str, LabelSpace],
        setting: Setting,
        steps: int,
        checkpoints: Checkpoints,
        statistics: NormalizationStatistics,
    ) -> None:
        self.network, self.phase, self.update, self.setting, self.steps = network, phase, update, setting, steps
        self.tasks, self.judges, self.valid, self.checkpoints = tasks, judges, valid, checkpoints
        # Scores that decide are of the weights with the statistics that the phase would end with.
        self.looking = statistics.looking if judges or checkpoints.scores else nullcontext
        self.metrics = {name: space.own_metric(setting.metric) for name, space in spaces.items()}
        self.signs = {name: 1 if spaces[name].metrics[metric] else -1 for name, metric in self.metrics.items()}
        self.every = max(1, -(-steps // setting.evaluations))
        self.pending: dict[str, list[Tensor]] = {}
        self.weights: dict[str, list[Tensor]] = {}
        self.records: list[dict[str, Any]] = []
        # Per judging role, or for their mean ("all"): the best score so far.
        self.best: dict[str, float] = {}
        self.stale = 0

    def note(self, record: Record) -> None:
        """Store the losses and task weights of a step, on the device, until the next evaluation."""
        for kept, given in ((self.pending, record.losses), (self.weights, record.weights)):
            for name, value in given.items():
                kept.setdefault(name, []).append(value)

    def due(self, step: int) -> bool:
        return step % self.every == 0 or step == self.steps

    def look(self, record: Record, bar: Any) -> bool:
        """Evaluate: read the losses, score, report, and keep the best weights. Returns True if the phase ends at this step."""
        step = record.step
        losses = self._mean_losses(step)
        with self.looking():
            scores: dict[str, Any] = {f"{name}_val_{self.metrics[name]}": each() for name, each in self.valid.items()}
            scores |= self.checkpoints.look(step)
        line = {"phase": self.phase.name, "step": step, "losses": losses, **scores, **self._balance(record)}
        for each in self.update.losses:
            line |= each.log()
        self.records.append(line)
        self.setting.report(line)
        shown = {name: f"{value:.3f}" for name, value in {**losses, **scores}.items() if name != "scores"}
        bar.set_postfix(shown, refresh=False)
        if self.judges:
            self._judge(step, {role: self.signs[role] * scores[f"{role}_val_{self.metrics[role]}"] for role in self.judges})
        phase = self.phase
        if phase.stop_below is not None and sum(losses.values()) < phase.stop_below:
            return True
        return phase.patience is not None and self.stale >= phase.patience

    def _balance(self, record: Record) -> dict[str, Any]:
        """The mean weight of each task since the last evaluation, and the cosines of task gradients on the last batches."""
        found: dict[str, Any] = {}
        if len(self.tasks) < 2 or self.phase.needs.unlabeled or not self.phase.trains_heads:
            return found
        if self.weights:
            found["weights"] = {name: float(torch.stack(values).float().mean()) for name, values in self.weights.items()}
            self.weights = {}
        if self.phase.batches.every_role:
            # Evaluation mode: running statistics do not change, and no random numbers are drawn.
            self.network.eval()
            # Without what the training step computed of them.
            given = {role: replace(batch, memo=None) for role, batch in record.batches.items()}
            # cuDNN has no gradients of recurrent layers in evaluation mode.
            with torch.backends.cudnn.flags(enabled=False):
                losses = {name: loss for each in self.update.losses for name, loss in each(self.network, given).items()}
                found["cosines"] = cosines(losses, [*self.tasks], [*self.network.parameters()])
        return found

    def _judge(self, step: int, values: dict[str, float]) -> None:
        if not self.phase.keeping.by_task:
            values = {"all": sum(values.values()) / len(values)}
        better = False
        for role, value in values.items():
            if role not in self.best or value > self.best[role]:
                better = True
                self.best[role] = value
                self.checkpoints.better(role, value, step)
        self.stale = 0 if better else self.stale + 1

    def _mean_losses(self, step: int) -> dict[str, float]:
        """The mean of each loss since the last evaluation. Losses are copied from the device here, not at every step."""
        stacked = {name: torch.stack(values).float().cpu() for name, values in self.pending.items()}
        broken = {name: int(bad[0]) - len(each) for name, each in stacked.items() if len(bad := (~each.isfinite()).nonzero())}
        if broken:
            # The first step with a broken loss: after it all losses may be broken.
            first = min(broken.values())
            guilty = [name for name, back in broken.items() if back == first]
            data = ", ".join(self.tasks[name].name for name in guilty if name in self.tasks)
            # If each step samples one task, a task's losses do not belong to consecutive steps.
            where = f"at step {step + 1 + first}" if self.phase.batches.every_role else f"before step {step + 1}"
            raise Problem(
                f"The loss {' and '.join(map(repr, guilty))} became {float(stacked[guilty[0]][first])} in phase "
                f"{self.phase.name} {where} of {self.steps}. Lower optimizer.lr (try a tenth), or check the data of "
                f"{data or ', '.join(task.name for task in self.tasks.values())}."
            )
        self.pending = {}
        return {name: float(each.mean()) for name, each in stacked.items()}

    def state(self) -> dict[str, Any]:
        pending, weights = ({name: torch.stack(v) for name, v in each.items()} for each in (self.pending, self.weights))
        return {
            "pending": pending, "weights": weights, "records": self.records, "best": self.best, "stale": self.stale,
            "checkpoints": self.checkpoints.state(),
        }  # fmt: skip

    def restore(self, saved: dict[str, Any]) -> None:
        """Resume from a saved state, and report its records again."""
        self.pending, self.weights = (
            {name: [*values.unbind()] for name, values in saved[key].items()} for key in ("pending", "weights")
        )
        self.records, self.best, self.stale = saved["records"], saved["best"], saved["stale"]
        self.checkpoints.restore(saved["checkpoints"])
        for line in self.records:
            self.setting.report(line)
