"""The search space: overrides with several values, in Hydra's grammar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from xlearn.config.schema import REPLICATES
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Choices:
    """A choice among values, as typed on the command line."""

    values: tuple[str, ...]

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def size(self) -> int | None:
        """The number of values; None if there are infinitely many."""
        return len(self.values)

    def values_of(self) -> Sequence[Any]:
        """All values of a finite choice."""
        return self.values

    def ends(self) -> tuple[str, ...]:
        """Values to try before the search: all of them."""
        return self.values

    def written(self, value: Any) -> str:
        """A value as an override has it."""
        return str(value)


@dataclass(frozen=True)
class Interval:
    """A number between `low` and `high`; `log`: uniform in its logarithm."""

    low: float
    high: float
    log: bool
    whole: bool

    def distribution(self) -> Any:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def size(self) -> int | None:
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def values_of(self) -> Sequence[Any]:
        return range(int(self.low), int(self.high) + 1)

    def ends(self) -> tuple[str, ...]:
        """Values to try before the search: both ends, and a fraction where fractions are proposed."""
        between = () if self.whole else (self.low + 0.37 * (self.high - self.low),)
        return tuple(self.written(value) for value in (self.low, self.high, *between))

    def written(self, value: Any) -> str:
        return str(int(value)) if self.whole else repr(float(value))


@dataclass(frozen=True)
class Space:
    """`fixed` overrides, the `searched` keys, and the overrides of each repetition (one without any: a single run)."""

    fixed: tuple[str, ...]
    searched: Mapping[str, Choices | Interval]
    repeated: tuple[tuple[str, ...], ...]

    def size(self) -> int | None:
        """The number of combinations of searched values; None if there are infinitely many."""
        sizes = [each.size() for each in self.searched.values()]
        return None if None in sizes else prod(size for size in sizes if size is not None)

    def overrides(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The overrides of a trial, without those of the repetitions."""
        return (*self.fixed, *(f"{key}={each.written(params[key])}" for key, each in self.searched.items()))

    def examples(self) -> list[list[str]]:
        """The overrides of runs in which each searched value, and each end of an interval, occurs, the other keys with their
        first value.
        """
        first = {key: f"{key}={each.ends()[0]}" for key, each in self.searched.items()}
        found = [[*self.fixed, *first.values()]]
        for key, each in self.searched.items():
            found += [[*self.fixed, *{**first, key: f"{key}={value}"}.values()] for value in each.ends()[1:]]
        return found


def space(overrides: Sequence[str]) -> Space:
    """The search space of a command: `a=1,2` or `choice(1,2)`, `range(1,5)`, `interval(0.1,3)`, and `tag(log, interval(...))`
    for a logarithmic scale. Several seeds, draws (`target.draw`) or folds repeat every trial. Raises `Problem` if nothing is
    searched.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob, IntervalSweep
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides([*overrides])
    except HydraException as error:
        raise Problem(" ".join(str(error).split())) from error
    if globbed := [text for text, each in zip(overrides, parsed, strict=True) if isinstance(each.value(), Glob)]:
        raise Problem(f"{globbed[0]}: name the options one by one, as in transfer=coral,mmd.")
    fixed: list[str] = []
    searched: dict[str, Choices | Interval] = {}
    repeated: list[tuple[str, ...]] = [()]
    for text, each in zip(overrides, parsed, strict=True):
        key = each.get_key_element()
        if not each.is_sweep_override():
            fixed.append(text)
        elif isinstance(value := each.value(), IntervalSweep):
            searched[key] = _interval(key, value)
        else:
            values = tuple(dict.fromkeys(str(one) for one in each.sweep_string_iterator()))
            if key in REPLICATES:
                repeated = [(*before, f"{key}={one}") for before in repeated for one in values]
            else:
                searched[key] = Choices(values)
    if not searched:
        raise Problem(
            "There is nothing to search. Give a key several values, such as optimizer.lr=1e-4,1e-3, or an interval: "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-2))'."
        )
    return Space(tuple(fixed), searched, tuple(repeated))


def _interval(key: str, value: Any) -> Interval:
    low, high, log = value.start, value.end, "log" in value.tags
    if low is None or high is None or not low < high or (log and low <= 0):
        raise Problem(f"{key}=interval({low}, {high}): give two numbers, the smaller one first{', above 0' if log else ''}.")
    return Interval(float(low), float(high), log, isinstance(low, int) and isinstance(high, int))
