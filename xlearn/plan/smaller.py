"""The same run on few examples, with two steps per phase: a smoke test."""

from dataclasses import replace

from xlearn.phases.phase import Phase
from xlearn.plan.components import Components

STEPS = 2


def smaller(components: Components) -> Components:
    """The components of the smoke test."""
    return replace(
        components,
        pretrain=tuple(map(_small, components.pretrain)),
        transfer=tuple(map(_small, components.transfer)),
        baseline=tuple(map(_small, components.baseline)),
        measuring=components.measuring.small(),
        baseline_measuring=components.baseline_measuring.small(),
    )


def _small(phase: Phase) -> Phase:
    return replace(phase, steps=STEPS, epochs=None, batches=phase.batches.small())


def fewest(components: Components) -> int:
    """The number of examples per class that the smoke test needs in every split."""
    phases = (*components.pretrain, *components.transfer)
    return max(2, components.measuring.fewest(), *(phase.batches.fewest() for phase in phases))
