"""Unequal classes with everything that may be missing or mixed, and the losses of single examples in plain floats."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from toys.tasks import SPEC, image_task
from xlearn.data.augment._mixup import mixup
from xlearn.data.batches import Batches
from xlearn.data.task import Batch, Examples, TabularSpec, Task
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.mean import Mean
from xlearn.label_spaces.classes import Classes
from xlearn.label_spaces.numbers import Numbers
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext

CLASSES, OTHERS, AMOUNT = Classes("toy", ("a", "b", "c")), Classes("other", ("x", "y")), Numbers("amount", ())
COUNT = 40
# What a class number stands for: 26, 11 and 3 rows.
FIRST = [0] * 26 + [1] * 11 + [2] * 3
Floats = Sequence[float]


@dataclass
class Given:
    """A network, a batch of each role, the tasks that they are drawn from, and by role the label of each row that has one: a
    class or a number.
    """

    network: Network
    batches: dict[str, Batch]
    tasks: dict[str, Task]
    labels: dict[str, dict[int, float]]

    def context(self, **more: object) -> PhaseContext:
        counts = {role: task.class_counts() for role, task in self.tasks.items()}
        return PhaseContext(self.network, frozenset(), counts, tasks=self.tasks, **more)

    def rows(self, role: str) -> list[int]:
        """The row of each example of the batch: its second column says so."""
        return [round(100 * each) for each in self.batches[role].inputs["tabular"][:, 1].tolist()]

    def shares(self, role: str) -> list[list[float] | None]:
        """The label of each example of the batch, as shares of the classes; None without a label."""
        batch = self.batches[role]
        if "tabular" not in batch.inputs:  # mixed
            return [[float(each) for each in row] for row in batch.labels.tolist()]
        known, width = self.labels[role], batch.space.width
        return [[float(place == known[row]) for place in range(width)] if row in known else None for row in self.rows(role)]

    def outputs(self, role: str, *modalities: str, network: Network | None = None) -> list[list[float]]:
        """The outputs for all examples of the batch, labelled or not."""
        batch = replace(self.batches[role], rows=None, memo=None)
        with torch.no_grad():
            found = (network or self.network)(batch.only(*modalities) if modalities else batch)
        return found.double().tolist()


def both_kinds() -> Examples:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (COUNT, 1, 6, 6), generator=generator, dtype=torch.uint8)
    columns = torch.stack([torch.randn(COUNT, generator=generator), torch.arange(COUNT) / 100], 1)
    present = {"tabular": torch.rand(COUNT, generator=generator) < 0.7, "image": torch.ones(COUNT).bool()}
    specs = {"image": SPEC, "tabular": TabularSpec(("p", "q"), "toy")}
    return Examples(
        {"image": images, "tabular": columns}, torch.tensor(FIRST), torch.arange(COUNT), CLASSES, present=present, data="toy",
        specs=specs,
    )  # fmt: skip


def network_of_both(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    encoders = {"image": Mlp(SPEC, widths=[8]), "tabular": TabularMlp(TabularSpec(("p", "q"), ""), widths=[6])}
    joined = Mean({name: each.width for name, each in encoders.items()}, width=5)
    network = Network(encoders, joined, {each.key: nn.Linear(5, each.width) for each in (CLASSES, OTHERS, AMOUNT)})
    for head in network.head.values():
        nn.init.normal_(head.weight, std=2.0)
    return network.eval()


def task_of(examples: Examples, role: str) -> Task:
    return replace(image_task(replace(examples, task=role), role), labels=examples.space)


def hard() -> Given:
    """Some examples lack their columns."""
    examples = both_kinds()
    batches = Batches({"target": examples}, batch_size=COUNT, seed=0)(0)
    return Given(network_of_both(), batches, {"target": task_of(examples, "target")}, {"target": dict(enumerate(FIRST))})


def mixed() -> Given:
    """Images, mixed by mixup."""
    examples = both_kinds().only("image")
    batches = Batches({"target": examples}, batch_size=COUNT, seed=0, augment=[partial(mixup, alpha=0.8)])(0)
    return Given(network_of_both(), batches, {"target": task_of(examples, "target")}, {})


def in_common() -> Given:
    """Three tasks of the same rows, of which each has a label for some; the batch is read once."""
    examples = both_kinds()
    numbers = [row / 7 - 2 for row in range(COUNT)]
    places = {
        "target": [row for row in range(COUNT) if row % 3], "second": [*range(0, COUNT, 4), 1], "third": [*range(5, COUNT, 2)],
    }  # fmt: skip
    spaces = {"target": CLASSES, "second": OTHERS, "third": AMOUNT}
    values = {
        "target": FIRST, "second": [int(row < 9) for row in range(COUNT)], "third": numbers,
    }  # fmt: skip
    roles = {
        role: replace(
            replace(examples, labels=torch.tensor(values[role]), space=spaces[role]).subset(torch.tensor(sorted(rows))),
            task=role, whole=examples,
        )
        for role, rows in places.items()
    }  # fmt: skip
    batches = Batches(roles, batch_size=24, seed=3, common=True)(0)
    labels = {role: {row: values[role][row] for row in rows} for role, rows in places.items()}
    return Given(network_of_both(), batches, {role: task_of(each, role) for role, each in roles.items()}, labels)


FORMS: dict[str, Callable[[], Given]] = {"hard": hard, "mixed": mixed, "in common": in_common}


def log_softmax(logits: Floats) -> list[float]:
    highest = max(logits)
    total = math.log(math.fsum(math.exp(each - highest) for each in logits)) + highest
    return [each - total for each in logits]


def weights_of(kind: str, counts: Floats, beta: float = 0.9999) -> list[float]:
    """By hand: of inverse frequencies, or of effective numbers."""
    if kind == "none":
        return [1.0 for _ in counts]
    if kind == "balanced":
        return [sum(counts) / (len(counts) * each) for each in counts]
    return [1 / ((1 - beta**each) / (1 - beta)) for each in counts]


def weighted_mean(
    losses: Callable[[Floats, int], float], outputs: Sequence[Floats], shares: Sequence[Floats | None], weights: Floats
) -> float:
    """`losses(z, c)` is the loss of outputs z with the label c."""
    above, below = [], []
    for z, q in zip(outputs, shares, strict=True):
        for label, share in enumerate(q or ()):
            above.append(share * weights[label] * losses(z, label))
            below.append(share * weights[label])
    return math.fsum(above) / math.fsum(below)


def smoothed_entropy(z: Floats, label: int, smoothing: float = 0.0) -> float:
    wanted = [(1 - smoothing) * float(place == label) + smoothing / len(z) for place in range(len(z))]
    return -math.fsum(q * log_p for q, log_p in zip(wanted, log_softmax(z), strict=True))


def focal(z: Floats, label: int, gamma: float) -> float:
    log_p = log_softmax(z)[label]
    return -((1 - math.exp(log_p)) ** gamma) * log_p


def adjusted(z: Floats, label: int, counts: Floats, tau: float) -> float:
    return -log_softmax([each + tau * math.log(count / sum(counts)) for each, count in zip(z, counts, strict=True)])[label]


def counted(labels: Mapping[int, float], classes: int) -> list[float]:
    return [float(sum(each == place for each in labels.values())) for place in range(classes)]


def squares(outputs: Sequence[Floats], values: Sequence[float | None]) -> float:
    errors = [(z[0] - value) ** 2 for z, value in zip(outputs, values, strict=True) if value is not None]
    return math.fsum(errors) / len(errors)
