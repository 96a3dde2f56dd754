"""`xlearn search`: trials proposed by optuna, each an ordinary run, scored by a selection rule."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from xlearn.config.arguments import config_dir
from xlearn.results.files import read_result
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.fingerprints import code_of
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import write_text
from xlearn.search.scores import ORACLE, check_rule, metrics_by, rule_of, score
from xlearn.search.space import Space, space

# The search ends if so many trials fail before any succeeds.
HOPELESS = 3

EXPLAINED = """KEY=VALUE as for `xlearn train`. A key with several values is searched: a=1,2,3, 'a=interval(0.1,3)',
'a=tag(log, interval(1e-4,1e-2))', 'a=int(interval(1,9))', 'a=range(1,5)'. Several seeds (seed=0,1,2) repeat every trial; the
scores are averaged.
RULE: for runs that adapt to unlabelled examples: source_val, importance_weighted, dev, entropy, infomax, snd, mixval, or oracle
(needs labels of the target's validation split; never the default). For other runs: validation. No rule reads the test split.

  xlearn search transfer=dann target.shots=0 'transfer.phases.adapt.penalties.dann.weight=tag(log, interval(0.01, 3))'
  xlearn search transfer=finetune 'optimizer.lr=tag(log, interval(1e-4, 1e-2))' schedule=constant,cosine --trials 10
"""


def main(arguments: list[str]) -> int:
    """Search and print. Returns 0, 1 after a problem, 128 + signal after an interruption."""
    given = _parser().parse_intermixed_args(arguments)
    try:
        return _main(given)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}.", file=sys.stderr)
    except Interrupted as interrupted:
        print(f"{interrupted}; the same command resumes from there.", file=sys.stderr)
        return 128 + interrupted.signal
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xlearn search",
        description="Choose values of the configuration by a selection rule (optuna's TPE proposes, each trial is a run).",
        epilog=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="the run, and the values to search")
    parser.add_argument(
        "--trials", type=int, default=20, help="number of trials, including those of an earlier, interrupted search"
    )
    parser.add_argument("--rule", help="default: keep= of the adapting phase, else infomax; validation if no phase adapts")
    parser.add_argument(
        "--config-dir", "-cd", action="append", default=[], metavar="FOLDER", help="a folder with your own tasks and methods"
    )
    return parser


def _main(given: argparse.Namespace) -> int:
    from filelock import FileLock, Timeout

    from xlearn.commands.job import shown
    from xlearn.config.compose import composed, plain, register

    folders = [config_dir("--config-dir", folder) for folder in given.config_dir]
    if given.trials < 1:
        raise Problem(f"--trials {given.trials}: give 1 or more.")
    if wrong := [word for word in given.words if "=" not in word]:
        raise Problem(f"{wrong[0]} is no KEY=VALUE. `xlearn search --help` explains.")
    check_rule(given.rule)
    searched = space(given.words)
    register(folders)
    # Composing here reports errors in the fixed overrides before any trial.
    words = [*searched.fixed, *searched.repeated[0]]
    where = Path(composed(words, folders).hydra.run.dir).parent / "search"
    values = {name: asdict(each) for name, each in searched.searched.items()}
    # Other code, or another method of the same name, makes another search: its scores are not comparable.
    tried = [plain(composed([*words, *chosen], folders)) for chosen in searched.options()]
    code = {code_of({name: node for name, node in each.items() if name != "hydra"}) for each in tried}
    named = [str(each.resolve()) for each in folders]
    key = digest([searched.fixed, values, searched.repeated, given.rule, named, sorted(code)])
    where.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(where / f"{key}.lock", timeout=0):
            study = _study(where / f"{key}.journal", searched)
            while (number := _counted(study)) < given.trials:
                _try(study, searched, given.rule, folders, f"trial {number + 1} of {given.trials}")
            return _tell(study, where / f"{key}.json")
    except Timeout as error:
        raise Problem(f"{shown(where)}: another process runs this search. Wait for it, or change the search.") from error


def _study(file: Path, searched: Space) -> Any:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise Problem('xlearn search needs optuna: pip install -e ".[search]".') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="search", storage=JournalStorage(JournalFileBackend(str(file))), load_if_exists=True, direction="maximize"
    )
    # By the number of trials, so that a resumed search does not propose the same values again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), multivariate=len(searched.searched) > 1)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        # A killed trial is repeated with the same values; its finished phases are in the cache.
        optuna.trial.Trial(study, trial._trial_id).set_user_attr("killed", True)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _counted(study: Any) -> int:
    """The number of finished trials, without killed ones."""
    return sum(trial.state.is_finished() and not trial.user_attrs.get("killed") for trial in study.trials)


def _try(study: Any, searched: Space, wanted: str | None, folders: list[Path], name: str) -> None:
    """One trial: a run per repetition. A failed trial is reported; `HOPELESS` failures without a success end the search."""
    from xlearn.commands.single import run

    trial = study.ask()
    overrides = searched.suggest(trial)
    values = " ".join(f"{key}={value}" for key, value in trial.params.items())
    try:
        found = [run([*overrides, *each], folders) for each in searched.repeated]
        # All trials use the rule of the first: scores of different rules are not comparable.
        rule = rule_of(found[0][0], study.user_attrs.get("rule", wanted))
        value = fmean(score(result, folder, rule) for result, folder in found)
    except Problem as problem:
        study.tell(trial, state=_failed())
        if not any(each.state.name == "COMPLETE" for each in study.trials) and len(study.trials) >= HOPELESS:
            raise
        print(f"{name}: {values}: failed: {problem}", file=sys.stderr)
        return
    study.set_user_attr("rule", rule)
    trial.set_user_attr("rule", rule)
    trial.set_user_attr("folders", [str(folder) for _, folder in found])
    study.tell(trial, value)
    print(f"{name}: {values}: {rule} {value:.4f}", flush=True)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _tell(study: Any, file: Path) -> int:
    """Print the best trial with its test metric; write all trials to `file`."""
    from xlearn.commands.job import shown

    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        raise Problem("No trial succeeded; their problems are printed above.")
    best = max(done, key=lambda trial: trial.value)
    rule = best.user_attrs["rule"]
    lines = [f"best of {len(done)} trials by {rule} ({best.value:.4f}): {' '.join(f'{k}={v}' for k, v in best.params.items())}"]
    lines.append(f"  {_measured(best, rule)}")
    needs_labels = {trial.number: value for trial in done if (value := _scores(trial, ORACLE)) is not None}
    if rule != ORACLE and len(needs_labels) == len(done):
        other = max(done, key=lambda trial: needs_labels[trial.number])
        told = " ".join(f"{k}={v}" for k, v in other.params.items())
        lines.append(f"  the oracle (needs labels of the target's validation split) chooses {told}: {_measured(other, ORACLE)}")
    trials = [{"values": trial.params, "score": trial.value, **trial.user_attrs} for trial in done]
    write_text(file, json.dumps({"rule": rule, "best": best.params, "score": best.value, "trials": trials}, indent=1))
    print("\n".join([*lines, f"  {shown(file.absolute())}"]))
    return 0


def _results(trial: Any) -> list[dict[str, Any]]:
    found = []
    for folder in trial.user_attrs["folders"]:
        try:
            result = read_result(Path(folder))
        except ValueError as error:
            raise Problem(
                f"{folder}/result.json cannot be read ({error}). Delete it and the search's files, and repeat."
            ) from error
        if result is None:
            raise Problem(f"{folder} of trial {trial.number + 1} is gone. Repeat its run, or delete the search's files there.")
        found.append(result)
    return found


def _scores(trial: Any, rule: str) -> float | None:
    """The mean score of the trial's runs under a rule; None if a run has none."""
    found = [((result.get("selections") or {}).get(rule) or {}).get("score") for result in _results(trial)]
    there = [float(each) for each in found if each is not None]
    return fmean(there) if len(there) == len(found) else None


def _measured(trial: Any, rule: str) -> str:
    results = _results(trial)
    metric = results[0]["config"]["metric"]
    own = fmean(metrics_by(result, rule)[metric] for result in results)
    before = fmean(result["baseline"]["metrics"][metric] for result in results)
    words, name = metric.replace("_", " "), results[0]["baseline"]["name"]
    repeated = f", mean of {len(results)} runs" if len(results) > 1 else ""
    return f"test {words} {own:.4f} ({name} {before:.4f}{repeated})"
