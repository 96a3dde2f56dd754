"""A node of the configuration becomes a call, or a sentence."""

from functools import partial

import pytest

from xlearn.config.component import component
from xlearn.runtime.errors import Problem, Problems


def test_a_component_is_the_partial_of_its_call():
    made = component({"_target_": "xlearn.schedules.cosine", "warmup": 0.5}, "schedule")
    assert isinstance(made, partial)
    assert made.keywords == {"warmup": 0.5}
    assert made(0, 10) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"_target_": "torch.optim.Adam", "lr": "abc"}, r"optimizer\.lr='abc' is no float or Tensor"),
        ({"_target_": "torch.optim.Adam", "lr": True}, r"optimizer\.lr=True is no float"),
        ({"_target_": "torch.optim.Adam", "weight_decy": 1.0}, r"no such argument\. Did you mean 'weight_decay'"),
        ({"_target_": "torch.optim.Adm"}, r"torch\.optim has no 'Adm' to call\. Did you mean 'Adam'"),
        ({"_target_": "nowhere.at.all"}, r"there is no module 'nowhere'"),
        ({"_target_": "plain"}, r"no dotted path|no module"),
        ({"lr": 1}, r"is no component"),
        ("adam", r"'adam' is no component"),
        ({"_target_": "xlearn.sharing.layers"}, r"optimizer\.first is missing"),
        ({"_target_": "xlearn.sharing.layers", "first": 1.5}, r"optimizer\.first=1\.5 is no int"),
        ({"_target_": "xlearn.encoders.Cnn", "widths": [1, "a"], "dense": 2}, r"widths=\[1, 'a'\] is no list\[int\]"),
        (
            {"_target_": "xlearn.objectives.CrossEntropy", "class_weights": "equal"},
            r"class_weights='equal' is no none or balanced",
        ),
    ],
)
def test_what_does_not_fit_is_told(node, sentence):
    with pytest.raises(Problem, match=sentence):
        component(node, "optimizer")


def test_all_problems_of_a_node_come_at_once():
    with pytest.raises(Problems) as caught:
        component({"_target_": "xlearn.encoders.Cnn", "widths": 3, "dens": 2}, "encoder.image")
    assert len(caught.value.problems) == 3  # unknown, missing, wrong type


def test_an_int_is_a_float_and_null_needs_to_be_allowed():
    component({"_target_": "torch.optim.SGD", "lr": 1}, "optimizer")
    component({"_target_": "xlearn.fusion.Mean", "width": None}, "fusion")
    with pytest.raises(Problem, match="is no int"):
        component({"_target_": "xlearn.sharing.layers", "first": None}, "sharing")


@pytest.mark.parametrize(
    ("path", "passed", "sentence"),
    [
        ("os.system", 0, r"target\._target_=os\.system needs command by position, but gets no values here"),
        ("operator.add", 1, r"needs a, b by position, but gets 1 value here"),
    ],
)
def test_a_target_that_waits_for_more_than_it_gets(path, passed, sentence):
    assert component({"_target_": path}, "target")
    with pytest.raises(Problem, match=sentence):
        component({"_target_": path}, "target", positional=passed)
    component({"_target_": path}, "target", positional=2)
    component({"_target_": "toys.tasks.blobs"}, "target", positional=0)


def test_a_target_without_a_signature_is_told():
    with pytest.raises(Problem, match=r"target\._target_=builtins\.dict: .* has no signature"):
        component({"_target_": "builtins.dict"}, "target")


def test_widths_of_the_mean():
    def mean(width):
        return component({"_target_": "xlearn.fusion.Mean", "width": width}, "fusion")({"image": 5})

    assert (mean(None).width, mean(1).width, mean(7).width) == (5, 1, 7)
    assert not mean(None).project and mean(7).project["image"].out_features == 7
    for width in (0, -3):
        with pytest.raises(Problem, match=f"fusion.width={width}: give 1 or more, or null"):
            mean(width)
