"""The proposals of a search. A trial follows from its number and the outcomes of earlier trials, from nothing else.

So there is no state to save: a search that is repeated, killed or split over several calls or workers makes the same trials,
and finds the runs of the earlier ones finished.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive
from xlearn.search.space import Space

# Trial k is proposed by the outcomes of the trials up to k - LAG, so that LAG trials may run at once, on however many workers.
LAG = 8


@dataclass(frozen=True)
class Trial:
    """A trial: its number, its values as optuna has them and as overrides, and its score (None: it failed)."""

    number: int
    params: dict[str, Any]
    overrides: tuple[str, ...]
    score: float | None = None


class Proposals:
    """Trials of a space, by optuna's TPE (Bergstra et al., NeurIPS 2011; multivariate), seeded by `key` and the trial's number.

    A finite space is searched without repetition: a combination that was proposed before is replaced by one that was not, and
    there are no more trials than combinations. Raises `Problem` without optuna.
    """

    def __init__(self, space: Space, key: str) -> None:
        try:
            import optuna
        except ImportError as error:
            raise Problem('xlearn search needs optuna: pip install -e ".[search]".') from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.seed, self.optuna = space, int(key, 16), optuna
        self.distributions = {name: each.distribution() for name, each in space.searched.items()}

    def count(self) -> int | None:
        """The number of combinations; None if there are infinitely many."""
        return self.space.size()

    def __call__(self, number: int, before: Sequence[Trial], proposed: Sequence[Trial]) -> Trial:
        """Trial `number`. `before`: the ended trials up to `number` - `LAG`; `proposed`: all trials with a smaller number."""
        optuna, seed = self.optuna, derive(self.seed, "trial", number)
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=len(self.distributions) > 1)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for each in sorted(before, key=lambda trial: trial.number):
            state = optuna.trial.TrialState.FAIL if each.score is None else optuna.trial.TrialState.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(state=state, value=each.score, params=each.params, distributions=self.distributions)
            )
        params = dict(study.ask(self.distributions).params)
        used = {tuple(each.params.items()) for each in proposed}
        if self.count() is not None and tuple(params.items()) in used:
            params = self._unused(used, seed)
        return Trial(number, params, self.space.overrides(params))

    def _unused(self, used: set[tuple[Any, ...]], seed: int) -> dict[str, Any]:
        """A random combination that was not proposed yet."""
        names, generator = [*self.space.searched], random.Random(seed)
        while True:
            params = {name: generator.choice(self.space.searched[name].values_of()) for name in names}
            if tuple(params.items()) not in used:
                return params
            if len(used) * 2 > (self.count() or 0):  # most are used: choose among those that are left
                every = itertools.product(*(self.space.searched[name].values_of() for name in names))
                left = [each for each in every if tuple(zip(names, each, strict=True)) not in used]
                return dict(zip(names, generator.choice(left), strict=True))
