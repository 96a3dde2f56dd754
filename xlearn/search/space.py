"""The search space: overrides with several values, in Hydra's grammar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlearn.config.schema import REPLICATES
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Choices:
    """A choice among values, as typed on the command line."""

    values: tuple[str, ...]

    def suggest(self, trial: Any, key: str) -> str:
        return str(trial.suggest_categorical(key, list(self.values)))


@dataclass(frozen=True)
class Interval:
    """A number between `low` and `high`; `log`: uniform in its logarithm."""

    low: float
    high: float
    log: bool
    whole: bool

    def suggest(self, trial: Any, key: str) -> str:
        if self.whole:
            return str(trial.suggest_int(key, int(self.low), int(self.high), log=self.log))
        return repr(trial.suggest_float(key, self.low, self.high, log=self.log))


@dataclass(frozen=True)
class Space:
    """`fixed` overrides, the `searched` keys, and the overrides of each repetition (one without any: a single run)."""

    fixed: tuple[str, ...]
    searched: Mapping[str, Choices | Interval]
    repeated: tuple[tuple[str, ...], ...]

    def options(self) -> list[list[str]]:
        """The override of each searched option of a group: `[[transfer=dann], [transfer=mcd]]`; `[[]]` without any."""
        groups = {key: each.values for key, each in self.searched.items() if isinstance(each, Choices) and "." not in key}
        return [[f"{key}={value}"] for key, values in groups.items() for value in values] or [[]]

    def suggest(self, trial: Any) -> list[str]:
        """The overrides of a trial, without those of the repetitions."""
        return [*self.fixed, *(f"{key}={each.suggest(trial, key)}" for key, each in self.searched.items())]


def space(overrides: Sequence[str]) -> Space:
    """The search space of a command: `a=1,2` or `choice(1,2)`, `range(1,5)`, `interval(0.1,3)`, and `tag(log, interval(...))`
    for a logarithmic scale. Several seeds or folds repeat every trial. Raises `Problem` if nothing is searched.
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
            values = tuple(str(one) for one in each.sweep_string_iterator())
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
