"""Needs: declared once, joined by a phase, said in words; a misspelt one fails at once."""

from dataclasses import fields, replace
from functools import partial

import pytest

from xlearn.commands.declared_needs import needs_in_words
from xlearn.config.component import resolve
from xlearn.config.folders import conf_folder, groups, options, read_yaml
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, SUPERVISED, WORDS, Declares, Needs, declared, declares, union


def addresses() -> list[str]:
    """The components of all options that declare needs."""
    found: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            found.update([node["_target_"]] if isinstance(node.get("_target_"), str) else [])
            for each in node.values():
                collect(each)

    for group in groups([conf_folder()]):
        for file in options(group, [conf_folder()]).values():
            collect(read_yaml(file))
    rooms = ("xlearn.objectives", "xlearn.balance", "xlearn.solvers", "xlearn.base_learners", "xlearn.data.augment")
    return sorted(each for each in found if each.startswith(rooms))


def test_a_misspelt_need_fails_where_it_is_written():
    with pytest.raises(TypeError, match="unlabelled"):
        Needs(unlabelled=True)


def test_a_phase_needs_what_any_of_its_components_needs():
    one = Needs(labels=False, unlabeled=True, batch=2, teacher=frozenset({"logits"}))
    other = Needs(trains_head=False, views=True, batch=3, teacher=frozenset({"features"}), spaces=(Classes,))
    both = union([one, other])
    assert both == union([other, one]) and both == one | other
    assert both.labels and both.unlabeled and both.views and both.trains_head and both.batch == 3
    assert both.teacher == {"logits", "features"} and both.spaces == (Classes,)
    assert union([]) == NO_LABELS and union([NO_LABELS, SUPERVISED]) == SUPERVISED


@pytest.mark.parametrize("each", fields(Needs), ids=lambda each: each.name)
def test_every_field_is_joined_and_said(each):
    """A field that is added later has words, and is not lost in a union."""
    value = {"teacher": frozenset({"network"}), "batch": 7, "spaces": (Classes,)}.get(each.name, True)
    single = replace(NO_LABELS, **{each.name: value})
    assert getattr(NO_LABELS | single, each.name) == value
    if each.name not in ("labels", "trains_head", "teacher", "batch", "spaces"):
        assert each.name in WORDS and WORDS[each.name] in single.words()
    assert single.words() != NO_LABELS.words() or each.name == "trains_head"


def test_a_class_that_declares_none_is_refused_by_name():
    class Mine:
        pass

    with pytest.raises(Problem, match=r"Mine does not declare its needs. Let it inherit .* xlearn.objectives.Objective"):
        declared(partial(Mine))


def test_needs_may_follow_from_arguments_and_functions_declare_by_a_decorator():
    class Sized(Declares):
        @classmethod
        def needed(cls, *, size=1, **others):
            return replace(cls.needs, batch=size)

    @declares(NO_LABELS)
    def penalty(network, batches):
        return {}

    def loss(network, batches):
        return {}

    assert declared(partial(Sized, size=5)).batch == 5 and declared(partial(Sized)).batch == 1
    assert declared(partial(penalty)) == NO_LABELS and declared(partial(loss)) == SUPERVISED
    assert declared(partial(loss), NO_LABELS) == NO_LABELS


@pytest.mark.parametrize("address", addresses())
def test_show_says_the_needs_that_are_declared(address):
    """Read from the source text, without importing the component; the reference is the component."""
    made = resolve(address, "here")
    default = SUPERVISED if address.startswith("xlearn.objectives") else NO_LABELS
    needs = declared(partial(made), default)
    said = needs_in_words(address)
    for words in needs.words():
        # What depends on arguments is said as such.
        assert words in said or "depending on its arguments" in said or not said
    assert "\n" not in said
