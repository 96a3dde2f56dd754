"""Whether a metric is one of a label space."""

from xlearn.label_spaces import LabelSpace
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.names import HIGHER_IS_BETTER


def need_metric(metric: str, space: LabelSpace | type[LabelSpace], task: str) -> None:
    """Raise `Problem` if the label space of the task has no such metric."""
    if metric not in space.metrics:
        fix = f"Set metric={space.metric}." if metric in HIGHER_IS_BETTER else nearest(metric, space.metrics)
        raise Problem(f"metric={metric}: {task} predicts {space.kind}. {fix}")
