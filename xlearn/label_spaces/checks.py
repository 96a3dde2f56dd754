"""Whether a metric, or a component, is defined for a label space."""

from xlearn.label_spaces import LabelSpace
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.names import HIGHER_IS_BETTER
from xlearn.runtime.needs import Needs


def need_metric(metric: str, space: LabelSpace | type[LabelSpace], task: str) -> None:
    """Raise `Problem` if the label space of the task has no such metric."""
    if metric not in space.metrics:
        fix = f"Set metric={space.metric}." if metric in HIGHER_IS_BETTER else nearest(metric, space.metrics)
        raise Problem(f"metric={metric}: {task} predicts {space.kind}. {fix}")


def need_space(needs: Needs, space: LabelSpace, what: str, fix: str) -> None:
    """Raise `Problem` if a component with these needs is not defined for the label space."""
    if needs.spaces and not issubclass(type(space), needs.spaces):
        kinds = " or ".join(each.kind for each in needs.spaces)
        raise Problem(f"{what} is defined for {kinds}, but the labels here are {space.kind}. {fix}")
