"""Losses that do not combine are refused before any data are read, and those that do are not."""

from functools import partial

import pytest

from xlearn.config.compose import choices, complete, composed, register
from xlearn.objectives import is_plain
from xlearn.objectives.regularization.l1 import l1
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.supervised import Supervised
from xlearn.plan.build import build
from xlearn.runtime.errors import Problem

WEIGHTS, SMOOTHING = "objective.class_weights=balanced", "objective.label_smoothing=0.1"
FOCAL, WEIGHTED_FOCAL = "objective=focal", ["objective=focal", "objective.class_weights=balanced"]
ADJUSTED, DEFERRED, EACH = "objective=balanced_softmax", "objective=deferred", "objective=each_modality"
BALANCED = "sampling=balanced"
TWO = ["source=[mnist5k,optdigits]", "target=mnist5k"]


def built(*words: str) -> None:
    register([])
    config = composed([*words], [])
    build({**complete(config), "choices": choices(config.hydra)})


REFUSED = [
    # The student's phase has a loss of its own.
    (["transfer=kd", WEIGHTS], "objective=cross_entropy objective.class_weights=balanced would change the baseline and the"),
    (["transfer=kd", SMOOTHING], "objective.label_smoothing=0.1 would change the baseline and the teacher, but not phase"),
    (["transfer=dkd", ADJUSTED], "objective=balanced_softmax would change the baseline and the teacher, but not phase"),
    (["transfer=dist", EACH], "objective=each_modality would change the baseline and the teacher"),
    (["transfer=self_distillation", FOCAL], "not phase student of transfer=self_distillation"),
    (["transfer=rkd", WEIGHTS], "(transfer.phases.distill.objective). Leave it out, set the same options there, or write"),
    (["transfer=fitnets", WEIGHTS, "transfer.phases.distill.objective.class_weights=effective"], "set the same options there"),
    (["transfer=shot", WEIGHTS, "target.shots=5"], "would change the baseline, but not phase adapt of transfer=shot"),
    (["transfer=adda", FOCAL, "target.shots=5"], "but not phase adapt of transfer=adda"),
    (["pretrain=groupdro", *TWO, "transfer=source_only", FOCAL], "no phase of transfer=source_only, because each has an objec"),
    # Two corrections for unequal classes.
    ([WEIGHTS, BALANCED], "CrossEntropy corrects for unequal classes, and sampling=balanced draws every class equally often"),
    (["objective.class_weights=effective", BALANCED], "together they correct twice. Use sampling=shuffled"),
    ([*WEIGHTED_FOCAL, BALANCED], "Focal corrects for unequal classes"),
    ([ADJUSTED, BALANCED], "LogitAdjustment corrects for unequal classes"),
    ([DEFERRED, BALANCED], "Deferred corrects for unequal classes"),
    (["transfer=bbse", "target.shots=0", ADJUSTED], "in phase pretrain LogitAdjustment corrects for them already"),
    (["transfer=bbse", "target.shots=0", WEIGHTS], "in phase pretrain CrossEntropy corrects for them already"),
    (["transfer=bbse", "target.shots=0", BALANCED], "in phase pretrain sampling=balanced corrects for them already"),
    # Penalties that are defined by the plain loss.
    (["pretrain=irm", *TWO, FOCAL], "Irm is computed with the plain loss of the labels, but the phase minimises Focal"),
    (["pretrain=vrex", *TWO, SMOOTHING], "minimises CrossEntropy objective.label_smoothing=0.1. Use objective=cross_entropy"),
    (["transfer=mcd", "target.shots=0", WEIGHTS], "Mcd is computed with the plain loss"),
    (["transfer=mcd", "target.shots=0", ADJUSTED], "but the phase minimises LogitAdjustment"),
]  # fmt: skip
TAKEN = [
    [WEIGHTS, SMOOTHING],
    [WEIGHTS, SMOOTHING, "augment=mixup"],
    ["objective=focal", "objective.class_weights=effective"],
    ["objective=focal", BALANCED],
    [SMOOTHING, BALANCED],
    ["objective=logit_adjustment", "objective.tau=0", BALANCED],
    ["objective=supervised", BALANCED, "transfer=kd"],
    # The source is trained with it, as SHOT's and ADDA's papers and others do; the adaptation reads no target label.
    ["transfer=shot", SMOOTHING, "target.shots=0"],
    ["transfer=adda", SMOOTHING, "target.shots=0"],
    ["transfer=tent", "encoder.image.normalisation=batch", WEIGHTS, "target.shots=0"],
    ["transfer=rkd", WEIGHTS, "transfer.phases.distill.objective.class_weights=balanced"],
    ["transfer=coral", "target.shots=0", WEIGHTS],
    ["transfer=bbse", "target.shots=0", FOCAL],
    ["transfer=l2_sp", FOCAL],
    ["pretrain=simclr", WEIGHTS],
    ["pretrain=groupdro", *TWO, FOCAL],
    ["pretrain=irm", *TWO, "objective=supervised"],
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=lambda each: " ".join(each) if isinstance(each, list) else "")
def test_a_pair_that_does_not_combine_is_refused(words, sentence):
    with pytest.raises(Problem) as problem:
        built(*words)
    assert sentence in str(problem.value)


@pytest.mark.parametrize("words", TAKEN, ids=" ".join)
def test_a_pair_that_combines_is_taken(words):
    built(*words)


def test_the_plain_loss():
    assert is_plain(partial(Supervised)) and is_plain(partial(CrossEntropy, roles=["target"], label_smoothing=0.0))
    for options in ({"class_weights": "balanced"}, {"label_smoothing": 0.1}):
        assert not is_plain(partial(CrossEntropy, **options))
    assert not is_plain(partial(l1, strength=0.1))
