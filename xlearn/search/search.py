"""One search: its trials as jobs of a sweep, their scores, and the trials that follow from these."""

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from xlearn.commands.jobs import Job, job_of
from xlearn.commands.single import content_of
from xlearn.commands.worker import Outcome
from xlearn.config.compose import register
from xlearn.config.schema import is_identity
from xlearn.results.files import read_result
from xlearn.runtime.errors import Problem, Problems, sentences_of
from xlearn.runtime.fingerprints import code_of
from xlearn.runtime.hashing import digest
from xlearn.search.scores import rule_of, score
from xlearn.search.space import Space
from xlearn.search.trials import LAG, Proposals, Trial

# A trial that may depend on so many trials is not proposed if all of these failed.
HOPELESS = 3


@dataclass
class Tried:
    """A trial, its jobs (one for each repetition), their outcomes and results."""

    trial: Trial
    jobs: list[Job]
    outcomes: dict[Path, Outcome] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    score: float = float("nan")

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def params(self) -> dict[str, Any]:
        return self.trial.params

    @property
    def over(self) -> bool:
        return len(self.outcomes) == len({job.folder for job in self.jobs})

    @property
    def failed(self) -> bool:
        return any(each.kind == "failed" for each in self.outcomes.values())


class Search:
    """At most `trials` trials of a space; `rule` scores them (None: the default of the first that succeeds)."""

    def __init__(self, space: Space, trials: int, rule: str | None, folders: list[Path]) -> None:
        register(folders)
        self.space, self.rule, self.folders = space, rule, folders
        # By what determines numbers: not by the number of workers, nor by the code, so that a mended bug changes no proposal.
        fixed = sorted(word for word in space.fixed if is_identity(word))
        values = {name: asdict(each) for name, each in space.searched.items()}
        self.proposals = Proposals(space, digest([fixed, values, [*space.repeated]]))
        size = self.proposals.count()
        self.total = trials if size is None else min(trials, size)
        if self.total < trials:
            print(f"note: there are {size} combinations, so {size} trials instead of {trials}.", file=sys.stderr)
        self.tried: list[Tried] = []
        self.printed = 0
        self.hopeless: str | None = None
        self.file = Path()

    def checked(self) -> Job:
        """A job of the search. Every value, or both ends of every interval, is composed and built, before any trial.

        Raises `Problems` for those that are refused.
        """
        from xlearn.plan.build import build

        problems: list[str] = []
        code: set[str] = set()
        jobs = []
        fractions = {key for key, each in self.space.searched.items() if each.size() is None}
        for words in self.space.examples():
            overrides = [*words, *self.space.repeated[0]]
            try:
                content, folder = content_of(overrides, self.folders)
                build(content)
            except Problem as problem:
                for sentence in sentences_of(problem):
                    key = sentence.partition(":")[0]
                    whole = f" For whole numbers write '{key}=int(interval(...))'." if key in fractions else ""
                    problems.append(sentence + whole * ("to Integer" in sentence))
                continue
            code.add(code_of(content))
            jobs.append(job_of(content, folder, ()))
        if problems:
            raise Problems(problems)
        # Other code, or another method of the same name, makes another search: its scores are not comparable.
        named = [str(each.resolve()) for each in self.folders]
        key = digest([self.proposals.seed, self.rule, named, sorted(code), LAG])
        self.file = jobs[0].folder.parent / "search" / f"{key}.json"
        return jobs[0]

    def more(self) -> Iterable[Job]:
        """The jobs of the trials that can be proposed now."""
        while self.hopeless is None and len(self.tried) < self.total:
            number = len(self.tried)
            before = self.tried[: max(0, number - LAG + 1)]
            if not all(each.over for each in before):
                return
            # By the trials that this one may depend on, so that it does not depend on the workers.
            if len(before) >= HOPELESS and all(each.failed for each in before):
                self.hopeless = next(each.line for one in before for each in one.outcomes.values() if each.kind == "failed")
                return
            rule = self._score(before)
            ended = [Trial(each.number, each.params, (), self._scored(each, rule)) for each in before]
            trial = self.proposals(number, ended, [each.trial for each in self.tried])
            made = [content_of([*trial.overrides, *each], self.folders) for each in self.space.repeated]
            values = [f"{key}={value}" for key, value in trial.params.items()]
            tried = Tried(trial, [job_of(*each, (f"trial {number + 1}:", *values)) for each in made])
            self.tried.append(tried)
            yield from tried.jobs

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Note the outcome of a job."""
        for each in self.tried:
            if job.folder in {one.folder for one in each.jobs} and outcome.kind != "interrupted":
                each.outcomes[job.folder] = outcome
        self._print_scores()

    def _print_scores(self) -> None:
        """Print the trials that are over, in their order."""
        while self.printed < len(self.tried) and (each := self.tried[self.printed]).over:
            rule = self._score(self.tried[: self.printed + 1])
            value = self._scored(each, rule)
            words = " ".join(f"{key}={value}" for key, value in each.params.items())
            told = "failed" if value is None else f"{rule} {value:.4f}"
            print(f"trial {each.number + 1} of {self.total}: {words}: {told}", flush=True)
            self.printed += 1

    def scored(self) -> tuple[str | None, list[Tried]]:
        """(the rule, the trials that succeeded, with their scores)."""
        over = [each for each in self.tried if each.over]
        rule = self._score(over)
        return rule, [each for each in over if self._scored(each, rule) is not None]

    def _score(self, ended: list[Tried]) -> str | None:
        """The rule of the first trial that succeeded: scores of different rules are not comparable."""
        for each in ended:
            self._read(each)
            if each.results:
                return rule_of(each.results[0], self.rule)
        return None

    def _read(self, tried: Tried) -> None:
        if tried.failed or tried.results:
            return
        found = [read_result(job.folder) for job in tried.jobs]
        tried.results = [each for each in found if each is not None]

    def _scored(self, tried: Tried, rule: str | None) -> float | None:
        """The mean score of a trial's runs; None for a trial that failed or has no such score."""
        self._read(tried)
        if rule is None or len(tried.results) < len(tried.jobs):
            return None
        try:
            tried.score = fmean(score(result, job.folder, rule) for result, job in zip(tried.results, tried.jobs, strict=True))
        except Problem as problem:
            print(f"trial {tried.number + 1}: {problem}", file=sys.stderr)
            return None
        return tried.score
