"""`xlearn search`: trials proposed by optuna, each an ordinary run, scored by a selection rule."""

import argparse
import json
import sys
from statistics import fmean

from xlearn.config.arguments import config_dir
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import write_text
from xlearn.search.scores import ORACLE, check_rule, metrics_by
from xlearn.search.search import Search, Tried
from xlearn.search.space import space

EXPLAINED = """KEY=VALUE as for `xlearn train`. A key with several values is searched: a=1,2,3, 'a=interval(0.1,3)',
'a=tag(log, interval(1e-4,1e-2))', 'a=int(interval(1,9))', 'a=range(1,5)'. Several seeds (seed=0,1,2) or draws
(target.draw=0,1) repeat every trial; the scores are averaged.
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
    from xlearn.commands.sweep import run_more
    from xlearn.config.compose import register, with_quotes

    folders = [config_dir("--config-dir", folder) for folder in given.config_dir]
    if given.trials < 1:
        raise Problem(f"--trials {given.trials}: give 1 or more.")
    if wrong := [word for word in given.words if "=" not in word]:
        raise Problem(f"{wrong[0]} is no KEY=VALUE. `xlearn search --help` explains.")
    check_rule(given.rule)
    register(folders)
    search = Search(space(with_quotes(given.words, folders)), given.trials, given.rule, folders)
    first = search.checked()
    status = run_more(search.more, [first], search.total * len(search.space.repeated), search.ended, False)
    if search.hopeless is not None and not search.scored()[1]:
        raise Problem(search.hopeless)
    if status >= 128:
        return status
    return _tell(search)


def _tell(search: Search) -> int:
    """Print the best trial with its test metric; write all trials to the search's file."""
    from xlearn.commands.job import shown

    rule, done = search.scored()
    if rule is None or not done:
        raise Problem("No trial succeeded; their problems are printed above.")
    best = max(done, key=lambda each: each.score)
    lines = [f"best of {len(done)} trials by {rule} ({best.score:.4f}): {_values(best)}", f"  {_measured(best, rule)}"]
    needs_labels = {each.number: value for each in done if (value := _scores(each, ORACLE)) is not None}
    if rule != ORACLE and len(needs_labels) == len(done):
        other = max(done, key=lambda each: needs_labels[each.number])
        oracle = f"the oracle (needs labels of the target's validation split) chooses {_values(other)}"
        lines.append(f"  {oracle}: {_measured(other, ORACLE)}")
    trials = [
        {"values": each.params, "score": each.score, "rule": rule, "folders": [str(job.folder) for job in each.jobs]}
        for each in done
    ]
    write_text(search.file, json.dumps({"rule": rule, "best": best.params, "score": best.score, "trials": trials}, indent=1))
    print("\n".join([*lines, f"  {shown(search.file.absolute())}"]))
    return 0


def _values(trial: Tried) -> str:
    return " ".join(f"{key}={value}" for key, value in trial.params.items())


def _scores(trial: Tried, rule: str) -> float | None:
    """The mean score of the trial's runs under a rule; None if a run has none."""
    found = [((result.get("selections") or {}).get(rule) or {}).get("score") for result in trial.results]
    there = [float(each) for each in found if each is not None]
    return fmean(there) if len(there) == len(found) else None


def _measured(trial: Tried, rule: str) -> str:
    results = trial.results
    metric = results[0]["config"]["metric"]
    if any(metric not in result["metrics"] for result in results):
        return f"test {metric.replace('_', ' ')} n/a: the target has no labels"
    own = fmean(metrics_by(result, rule)[metric] for result in results)
    before = fmean(result["baseline"]["metrics"][metric] for result in results)
    words, name = metric.replace("_", " "), results[0]["baseline"]["name"]
    repeated = f", mean of {len(results)} runs" if len(results) > 1 else ""
    return f"test {words} {own:.4f} ({name} {before:.4f}{repeated})"
