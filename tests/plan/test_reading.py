"""How data are read follows from the run's encoders, where their loader leaves it open."""

from functools import partial

import pytest

from xlearn.data.options import TaskOptions
from xlearn.data.task_source import TaskSource
from xlearn.encoders import AudioCnn, Cnn, EfficientNetFeatures, EfficientNetLite0, TorchvisionClassifier
from xlearn.plan.reading import read_for


def loader(*, size: int | None = None, other: int | None = None): ...


def fixed(*, size: int | None = 28): ...


def made(load, **arguments):
    return TaskSource("pets", "target", partial(load, **arguments), arguments, TaskOptions())


LITE = {"image": partial(EfficientNetLite0)}


@pytest.mark.parametrize(
    ("encoders", "options", "size"),
    [
        (LITE, {}, 96),
        ({"image": partial(EfficientNetLite0, size=224)}, {}, 224),
        ({"image": partial(EfficientNetLite0, size=None)}, {}, None),
        ({"image": partial(EfficientNetFeatures)}, {}, 96),
        ({"image": partial(TorchvisionClassifier, name="resnet18", size=64)}, {}, 64),
        ({"image": partial(TorchvisionClassifier, name="resnet18")}, {}, None),
        ({"image": partial(Cnn, widths=[8], dense=8)}, {}, None),
        ({"image": partial(Cnn, widths=[8], dense=8)}, {"image": {"size": 48, "channels": None}}, 48),
        (LITE, {"image": {"size": 128, "channels": None}}, 128),
        ({"audio": partial(AudioCnn)}, {"audio": {"size": 5}}, None),
    ],
)
def test_what_is_left_open_is_what_the_encoder_wants(encoders, options, size):
    source = read_for(made(loader, size=None, other=None), encoders, options)
    assert source.arguments == source.load.keywords == {"size": size, "other": None} and source.notes == {}


def test_a_given_value_stays_and_a_smaller_one_is_noted():
    small = read_for(made(loader, size=32), LITE, {})
    assert small.arguments == {"size": 32} and small.notes == {"enlarged": ["size 32 to 96"]}
    assert read_for(made(loader, size=None), LITE, {"image": {"size": 48}}).notes == {"enlarged": ["size 48 to 96"]}
    assert read_for(made(loader, size=300), LITE, {}).notes == {}


def test_a_null_that_means_something_else_to_the_loader_stays():
    assert read_for(made(fixed, size=None), LITE, {}).arguments == {"size": None}
