"""`xlearn check --leaks`: what source, target and splits have in common."""

from collections.abc import Iterator
from typing import Any

from xlearn.data.leak_report import Finding, between, within
from xlearn.plan.build import build
from xlearn.plan.tasks import bound
from xlearn.runtime.printable import in_one_line


def leaks(config: dict[str, Any]) -> int:
    """Print all findings in the data of a run, with counts and examples. Returns 1 if something is learned from and measured
    all the same, else 0.
    """
    components = bound(build(config))
    seed, target = components.options.seed, components.target
    found: list[Finding] = []
    for source in (target, *components.sources):
        print(f"{source.where} ({source.name}):")
        findings = [*within(source, seed), *(each for earlier in source.follows for each in between(source, earlier, seed))]
        findings += _learned(components.learned_before().unknown) if source is target else []
        print("\n".join(_lines(findings)) or "  nothing was found")
        found += findings
    leaking = sum(each.leaks for each in found)
    print(
        f"{leaking} leak(s). docs/honesty.md says what is compared, and what cannot be found."
        if leaking
        else "no leak was found"
    )
    return 1 if leaking else 0


def _learned(unknown: tuple[str, ...]) -> Iterator[Finding]:
    for each in unknown:
        yield Finding(f"what the weights of {each} have learned from is unknown")


def _lines(findings: list[Finding]) -> Iterator[str]:
    for each in findings:
        yield f"  {'LEAK: ' * each.leaks}{in_one_line(each.text)}"
        yield from (f"    {in_one_line(example)}" for example in each.examples)
