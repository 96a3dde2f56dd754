"""What a phase is made of: every field is in its key, or says why it is not."""

from dataclasses import fields, replace
from functools import partial

import pytest
import torch
from toys.phases import phase

from xlearn.base_learners import NearestCentroid
from xlearn.config.component import component
from xlearn.data.episodes import Kind
from xlearn.objectives.supervised.focal import Focal
from xlearn.phases.phase import Phase
from xlearn.schedules._cosine import cosine
from xlearn.solvers import AdaBN, Bbse
from xlearn.trainable._frozen import frozen

OTHERS = {
    "position": 1, "reads": ("source",), "modalities": ("image",), "trainable": partial(frozen, patterns=["head.*"]),
    "objectives": (partial(Focal, gamma=2.0),), "balance": partial(print), "optimizer": partial(torch.optim.SGD, lr=0.1),
    "schedule": partial(cosine), "clip": 1.0, "augment": (partial(print),), "views": (partial(print),), "merge": partial(print),
    "epochs": 2.0, "steps": 41, "patience": 3, "stop_below": 0.1,
}  # fmt: skip
# A name determines nothing; teachers and the weights of the start are in the key by their digests, the others by their
# documents.
BESIDE = {"name", "teachers", "restarts", "batches", "keeping", "solver", "sets_length"}


def test_every_field_is_in_the_key_or_known_to_be_beside_it():
    """A new field is in it by itself; one that shall not be has to be named here."""
    names = {each.name for each in fields(Phase)}
    assert names == OTHERS.keys() | BESIDE and phase().document.keys() == OTHERS.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_another_value_is_another_document(name):
    made = phase()
    assert replace(made, **{name: OTHERS[name]}).document != made.document


@pytest.mark.parametrize(
    "other", [{"batch_size": 8}, {"balanced": True}, {"tasks": "equal"}, {"temperature": 3.0}, {"common": False}]
)
def test_other_batches_are_another_document(other):
    both = {"a": None, "b": None}
    assert phase(**other).batches.document(both) != phase().batches.document(both)


def test_other_episodes_solvers_and_rules_are_other_documents():
    kind, learner = Kind(5, 1, 5, 4), partial(NearestCentroid)
    given = [phase(kind=kind, base_learner=learner), phase(kind=replace(kind, ways=3), base_learner=learner)]
    given += [phase(kind=kind, base_learner=partial(NearestCentroid, scale=2.0)), phase()]
    assert len({str(each.batches.document({})) for each in given}) == 4
    assert phase(solver=partial(AdaBN)).solver.document() != phase(solver=partial(Bbse)).solver.document()
    assert phase(keep="best_target").keeping.document() != phase().keeping.document()


def test_what_determines_nothing_leaves_the_document_alone():
    assert replace(phase(), name="other", teachers=("source",), restarts=True).document == phase().document


def test_arguments_and_order_of_components_count():
    first, second = partial(Focal, gamma=1.0), partial(Focal, gamma=2.0)
    assert len({str(phase(objectives=each).document) for each in ((first,), (second,), (first, second), (second, first))}) == 4
    assert phase(objectives=(partial(Focal, gamma=1.0),)).document == phase(objectives=(first,)).document


def test_two_functions_of_one_name_and_an_argument_called_code(tmp_path, monkeypatch):
    """Made by one factory they have one qualified name: the address in the configuration tells them apart."""
    file = tmp_path / "own_losses_for_a_key.py"
    file.write_text(
        "def _made(factor):\n    def loss(network, batches, *, code: str = 'a'):\n        return factor\n    return loss\n"
        "double, zero = _made(2), _made(0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def document(name):
        made = component({"_target_": f"own_losses_for_a_key.{name}", "code": "b"}, "objective")
        return phase(objectives=(made,)).document["objectives"][0]

    assert document("double") != document("zero") and document("zero") == document("zero")
    assert document("zero")["arguments"] == {"code": "b"}
