"""Needs: the facts that a component declares about itself, once, for the phase that uses it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial, reduce
from inspect import isclass
from operator import or_
from typing import Any, ClassVar, TypeVar

from xlearn.runtime.errors import Problem

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Needs:
    """What a component needs of its phase. The needs of a phase are the union of those of its components.

    The defaults are those of a loss on labelled examples. A field that does not exist is a `TypeError` at import.
    """

    labels: bool = True  # the labels of the examples
    trains_head: bool = True  # heads that are trained on these labels, so that a validation split can be scored
    unlabeled: bool = False  # the target's unlabelled examples
    views: bool = False  # several random views of every example
    raw_inputs: bool = False  # the inputs of single modalities: features below the heads are not enough
    runs_encoders: bool = False  # encoders that run in every step: their outputs cannot be precomputed
    pairs: bool = False  # examples of several modalities
    several_tasks: bool = False  # several tasks, each in every step
    common_features: bool = False  # tasks that share their features
    episodes: bool = False  # few-shot episodes instead of examples
    copied: bool = False  # the names of the parameters that were copied from the source
    below_heads: bool = False  # trained layers below the heads: it has no gradient to a head
    one_task: bool = False  # batches of a single labelled task: it mixes labels
    class_shares: bool = False  # training with the class shares of the training examples: it corrects for them
    plain_loss: bool = False  # the loss of the label space as the phase's objective: it is computed with that loss
    unknown_token: bool = False  # the unknown token of a tokeniser that xlearn learned
    # Outputs of teachers: "logits" and "features" (precomputed where possible), "network" (the teacher runs in every step),
    # "validation" (its loss on the target's validation split).
    teacher: frozenset[str] = frozenset()
    batch: int = 1  # the smallest number of examples in a batch
    spaces: tuple[Any, ...] = ()  # the label spaces for which it is defined; empty: any

    def __or__(self, other: "Needs") -> "Needs":
        """What both need together."""
        both: dict[str, Any] = {}
        for each in fields(self):
            one, two = getattr(self, each.name), getattr(other, each.name)
            both[each.name] = JOINED.get(each.name, or_)(one, two)
        return Needs(**both)

    def words(self) -> list[str]:
        """The needs beyond those of a loss on labelled examples, in words."""
        said = [words for name, words in WORDS.items() if getattr(self, name)]
        if not self.labels:
            said.insert(0, "no labels")
        elif not self.trains_head:
            said.insert(0, "labels, but no trained head")
        if self.teacher:
            said.append(f"a teacher ({', '.join(sorted(self.teacher))})")
        if self.spaces:
            said.append(f"labels that are {' or '.join(each.kind for each in self.spaces)}")
        if self.batch > 1:
            said.append(f"batches of at least {self.batch} examples")
        return said


# How two values of a field are joined, where it is not by "or".
JOINED: dict[str, Callable[[Any, Any], Any]] = {"batch": max, "spaces": lambda one, two: (*one, *two)}
# The words of the fields that are true or false, for `xlearn show` and for messages.
WORDS = {
    "views": "two views of every example",
    "unlabeled": "unlabelled examples of the target",
    "pairs": "pairs of modalities",
    "raw_inputs": "the inputs of each modality",
    "runs_encoders": "encoders that run in every step",
    "several_tasks": "several tasks in every step",
    "common_features": "tasks with common features",
    "episodes": "few-shot episodes",
    "copied": "weights copied from the source",
    "below_heads": "trained layers below the heads",
    "one_task": "labelled examples of one task",
    "class_shares": "classes in the shares of the training examples, for which it corrects",
    "plain_loss": "an objective without class weights, smoothing or adjustment",
    "unknown_token": "the unknown token of a learned tokeniser",
}
# A loss on labelled examples.
SUPERVISED = Needs()
# A component that reads no labels and trains no head: a penalty, a balance, a structure.
NO_LABELS = Needs(labels=False, trains_head=False)


class Declares:
    """A component that declares its needs: by the attribute `needs`, or, where they depend on its arguments, by overriding
    `needed`.
    """

    needs: ClassVar[Needs] = SUPERVISED

    @classmethod
    def needed(cls, **arguments: Any) -> Needs:
        """The needs of a component with these arguments."""
        return cls.needs


def declares(needs: Needs) -> Callable[[Function], Function]:
    """A decorator that declares the needs of a function."""

    def declared_of(function: Function) -> Function:
        vars(function)["needs"] = needs
        return function

    return declared_of


def declared(component: partial[Any], default: Needs = SUPERVISED) -> Needs:
    """The needs of a component with its arguments. `default`: those of a function without a declaration.

    Raises: `Problem` for a class that declares none.
    """
    made = component.func
    if not isclass(made):
        return vars(made).get("needs", default)
    if not issubclass(made, Declares):
        raise Problem(
            f"{made.__module__}.{made.__qualname__} does not declare its needs. Let it inherit from the class of its group: "
            "xlearn.objectives.Objective, xlearn.balance.Balance, xlearn.sharing.Structure, xlearn.solvers.Solver or "
            "xlearn.base_learners.BaseLearner (docs/adding-a-method.md)."
        )
    return made.needed(**component.keywords)


def union(needs: Iterable[Needs]) -> Needs:
    """What all need together."""
    return reduce(lambda one, other: one | other, needs, NO_LABELS)
