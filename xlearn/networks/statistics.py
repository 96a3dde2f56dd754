"""The running statistics of batch normalisation, computed from given examples with the weights as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch, Examples
from xlearn.networks.lockstep import BatchNorm, Call, forwards, lockstep
from xlearn.networks.network import Network, instead
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine, place

# The most numbers in the input of one normalisation, 128 MiB in float32. More examples pass in parts.
LARGEST = 2**25
# The fewest examples in a part.
FEWEST = 64


def normalisations(network: nn.Module) -> list[BatchNorm]:
    """Every batch normalisation with running statistics."""
    return [module for module in network.modules() if isinstance(module, BatchNorm) and module.track_running_stats]


def buffers(module: BatchNorm) -> tuple[Tensor, Tensor]:
    """Its running mean and variance."""
    mean, variance = module.running_mean, module.running_var
    assert isinstance(mean, Tensor) and isinstance(variance, Tensor)
    return mean, variance


def statistics(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Copies of the running means and variances of all normalisations."""
    return [(mean.clone(), variance.clone()) for mean, variance in map(buffers, normalisations(network))]


@torch.no_grad()
def put_back(network: nn.Module, before: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Set the running means and variances to copies that `statistics` returned."""
    for module, saved in zip(normalisations(network), before, strict=True):
        for own, value in zip(buffers(module), saved, strict=True):
            own.copy_(value)


@dataclass
class Moments:
    """Number of values, mean and sum of squared deviations of each channel; `rows`: the number of examples."""

    rows: int = 0
    count: float = 0.0
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, other: "Moments") -> None:
        """Pool both (Chan, Golub and LeVeque, The American Statistician 1983, eq. 2.1)."""
        whole = self.count + other.count
        between = other.mean - self.mean
        self.squares = self.squares + other.squares + between**2 * (self.count * other.count / whole)
        self.mean = self.mean + between * (other.count / whole)
        self.rows, self.count = self.rows + other.rows, whole


def moments(x: Tensor) -> Moments:
    """The moments of inputs `[rows, channels, ...]`, in float64 on the CPU."""
    variance, mean = torch.var_mean(x.float(), [0, *range(2, x.ndim)], correction=0)
    count = x.numel() // x.shape[1]
    return Moments(len(x), count, mean.cpu().double(), variance.cpu().double() * count)


def estimated(
    network: Network, examples: Mapping[str, Examples], machine: Machine, modules: Sequence[BatchNorm] | None = None
) -> int:
    """Set the running statistics of `modules` (None: every batch normalisation) to those of the examples of all tasks, with the
    present weights. Returns the smallest number of examples that one of them read; 0 without modules or examples.

        mean_c = sum_i x_ic / n,   variance_c = sum_i (x_ic - mean_c)^2 / (n - 1)

    over all examples and positions i of channel c. Each layer reads what the layers below compute with their new statistics:
    the result is that of one batch in training mode. A normalisation that tasks share pools their examples; a private one has
    those of its task. More examples than fit into memory (`LARGEST`) pass in parts, drawn at random whatever their order: each
    part is normalised by its own statistics, and the moments of all parts are pooled. All other modules evaluate.
    """
    place(network, machine)
    network.eval()
    given = {role: each for role, each in examples.items() if len(each)}
    found = [*normalisations(network)] if modules is None else [*modules]
    if not found or not given:
        return 0
    listening, network.listening = network.listening, []
    for module in found:
        module.train()
    try:
        for _ in given:
            first = {role: _few(each).to(machine.device) for role, each in given.items()}
            order, size, again = _look_ahead(network, first, found)
            pooled = {module: Moments() for module in found}
            for batches in _parts(given, LARGEST // size, machine):
                lockstep(network, batches, found, order, partial(_normalised, pooled), _evaluated)
            read = {module: each for module, each in pooled.items() if each.rows}
            _set(read)
            # Progressive columns evaluate those of earlier tasks, whose statistics must be final.
            if not again:
                break
    finally:
        network.listening = listening
        network.eval()
    return min((each.rows for each in read.values()), default=0)


def _few(examples: Examples) -> Batch:
    """The longest example, and one with each modality."""
    lengths = examples.lengths()
    chosen = {0 if lengths is None else int(lengths.argmax())}
    chosen |= {int(there.nonzero()[0]) for there in examples.present.values() if bool(there.any())}
    return examples.take(torch.tensor(sorted(chosen)))


def _look_ahead(
    network: Network, batches: Mapping[str, Batch], modules: Sequence[BatchNorm]
) -> tuple[dict[str, list[Call]], int, bool]:
    """(the calls of each task in order, the largest input of a call in numbers per example over all tasks, whether a
    normalisation evaluates)."""
    order: dict[str, list[Call]] = {role: [] for role in batches}
    sizes: dict[str, int] = dict.fromkeys(batches, 1)
    evaluates: list[BatchNorm] = []

    def evaluate(module: BatchNorm, x: Tensor) -> Tensor:
        evaluates.append(module)
        return _evaluated(module, x)

    for role, batch in batches.items():

        def note(call: Call, x: Tensor, role: str = role) -> Tensor:
            order[role].append(call)
            sizes[role] = max(sizes[role], x.numel() // len(x))
            return _evaluated(call.module, x)

        with torch.no_grad(), instead(forwards(modules, note, evaluate)):
            network.features(batch)
    return order, sum(sizes.values()), bool(evaluates)


def _parts(examples: Mapping[str, Examples], most: int, machine: Machine) -> Iterator[dict[str, Batch]]:
    """The examples of all tasks in equal parts of at most `most` of each, which do not depend on their order."""
    number = -(-max(map(len, examples.values())) // max(most, FEWEST))
    positions = {role: _shuffled(each).tensor_split(number) for role, each in examples.items()}
    for part in range(number):
        yield {
            role: examples[role].take(parts[part]).to(machine.device) for role, parts in positions.items() if len(parts[part])
        }


def _shuffled(examples: Examples) -> Tensor:
    generator = torch.Generator().manual_seed(derive(0, "statistics"))
    return examples.rows.argsort(stable=True)[torch.randperm(len(examples), generator=generator)]


def _normalised(pooled: Mapping[BatchNorm, Moments], module: BatchNorm, given: Sequence[Tensor]) -> list[Tensor]:
    """Each input, normalised by the moments of all of them, which are added to `pooled`."""
    if len(given) == 1 and (count := given[0].numel() // given[0].shape[1]) > 1:
        # One pass of torch's instead of two: with momentum 1 it leaves the mean, and the variance with n - 1.
        x = given[0]
        mean, variance = x.new_zeros(x.shape[1], dtype=torch.float32), x.new_ones(x.shape[1], dtype=torch.float32)
        output = functional.batch_norm(x, mean, variance, module.weight, module.bias, True, 1.0, module.eps)
        pooled[module].add(Moments(len(x), count, mean.cpu().double(), variance.cpu().double() * (count - 1)))
        return [output]
    own = Moments()
    for x in given:
        own.add(moments(x))
    pooled[module].add(own)
    mean, variance = (value.to(given[0]) for value in (own.mean, own.squares / own.count))
    return [_with(module, x, mean, variance) for x in given]


def _evaluated(module: BatchNorm, x: Tensor) -> Tensor:
    return _with(module, x, module.running_mean, module.running_var)


def _with(module: BatchNorm, x: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
    return functional.batch_norm(x, mean, variance, module.weight, module.bias, False, 0.0, module.eps)


@torch.no_grad()
def _set(found: Mapping[BatchNorm, Moments]) -> None:
    for module, each in found.items():
        mean, variance = buffers(module)
        mean.copy_(each.mean)
        variance.copy_(each.squares / max(each.count - 1, 1))
