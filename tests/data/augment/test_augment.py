"""Augmentations against brute force, torchvision and their definitions."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from xlearn.data.augment._crop import crop
from xlearn.data.augment._cutout import cutout
from xlearn.data.augment._flip import flip
from xlearn.data.augment._mixup import mixup
from xlearn.data.augment._rotate import rotate
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem

SPACE = Classes("toy", ("a", "b", "c"))
EVERY = {
    "crop": partial(crop, padding=2),
    "cutout": partial(cutout, size=4),
    "flip": partial(flip, probability=0.5),
    "mixup": partial(mixup, alpha=0.4),
    "rotate": partial(rotate, degrees=40.0),
}
MAKES_FLOAT = {"mixup", "rotate"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 8, channels: int = 3, height: int = 10, width: int = 7, seed: int = 0, same: bool = False) -> Batch:
    images = torch.randint(1, 256, (count, channels, height, width), generator=seeded(seed), dtype=torch.uint8)
    if same:
        images = images[:1].repeat(count, 1, 1, 1)
    return Batch({"image": images}, torch.arange(count) % 3, SPACE)


@pytest.mark.parametrize("name", EVERY)
def test_the_generator_alone_decides(name):
    given_batch = batch()
    torch.manual_seed(1)
    first = EVERY[name](given_batch, seeded(5))
    torch.manual_seed(2)
    second = EVERY[name](given_batch, seeded(5))
    assert torch.equal(first.inputs["image"], second.inputs["image"]) and torch.equal(first.labels, second.labels)
    assert not torch.equal(first.inputs["image"], EVERY[name](given_batch, seeded(6)).inputs["image"])


@pytest.mark.parametrize("name", EVERY)
def test_every_example_is_drawn_by_itself(name):
    given_batch = batch(count=32, same=name != "mixup")
    if name == "mixup":
        # Of two images that alternate, every mixture has a share of its own.
        given_batch.inputs["image"] = given_batch.inputs["image"][:2].repeat(16, 1, 1, 1)
    found = EVERY[name](given_batch, seeded())
    distinct = {tuple(image.flatten().tolist()) for image in found.inputs["image"]}
    assert len(distinct) >= (2 if name == "flip" else 8)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_types_shapes_and_the_rest_of_the_batch(name, dtype):
    given_batch = batch()
    given_batch.inputs["image"] = given_batch.inputs["image"].to(dtype)
    before = given_batch.inputs["image"].clone()
    found = EVERY[name](given_batch, seeded())
    assert torch.equal(given_batch.inputs["image"], before)  # the examples themselves stay as they are
    assert found.inputs["image"].shape == before.shape
    assert found.inputs["image"].dtype == (torch.float32 if name in MAKES_FLOAT else dtype)
    assert float(found.inputs["image"].min()) >= 0 and float(found.inputs["image"].max()) <= 255.001
    assert found.space is SPACE
    assert found.labels.dtype == (torch.float32 if name == "mixup" else torch.int64)


@pytest.mark.parametrize("name", EVERY)
def test_other_modalities_stay_as_they_are(name):
    beside = Batch({**batch().inputs, "other": torch.arange(8)}, torch.arange(8) % 3, SPACE)
    if name == "mixup":  # its labels would be wrong for what is not mixed
        with pytest.raises(Problem, match="augment=mixup mixes images and labels, but the examples have other too"):
            EVERY[name](beside, seeded())
    else:
        assert torch.equal(EVERY[name](beside, seeded()).inputs["other"], torch.arange(8))
    without = beside.only("other")
    assert EVERY[name](without, seeded()) is without


def test_augmentations_follow_each_other():
    found = batch()
    for name in ("mixup", "crop", "rotate", "cutout", "flip", "mixup"):
        found = EVERY[name](found, seeded())
    assert found.inputs["image"].shape == (8, 3, 10, 7)
    assert torch.allclose(found.labels.sum(1), torch.ones(8))


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_crop_is_a_window_of_the_padded_image(seed, padding, channels):
    given_batch = batch(5, channels, seed=seed)
    found = crop(given_batch, seeded(seed), padding=padding).inputs["image"]
    for image, cut in zip(given_batch.inputs["image"], found, strict=True):
        padded = functional.pad(image, (padding,) * 4)
        places = 2 * padding + 1
        windows = [padded[:, top : top + 10, left : left + 7] for top in range(places) for left in range(places)]
        assert any(torch.equal(window, cut) for window in windows)


def test_crops_come_from_everywhere():
    image = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 1, 4, 4).repeat(900, 1, 1, 1)
    found = crop(Batch({"image": image}, torch.zeros(900).long(), SPACE), seeded(), padding=1).inputs["image"]
    seen = torch.stack([(found == window).flatten(1).all(1) for window in _windows(image[0])]).sum(1)
    assert int(seen.sum()) == 900 and int(seen.min()) > 60  # 9 windows, 100 each expected, deviation 9.4


def _windows(image):
    padded = functional.pad(image, (1,) * 4)
    return [padded[:, top : top + 4, left : left + 4] for top in range(3) for left in range(3)]


def test_flip_is_torch_flip_with_its_probability():
    given_batch = batch()
    images = given_batch.inputs["image"]
    assert torch.equal(flip(given_batch, seeded(), probability=1.0).inputs["image"], torch.flip(images, [-1]))
    assert torch.equal(flip(given_batch, seeded(), probability=0.0).inputs["image"], images)
    many = batch(2000, 1, 2, 3)
    found = flip(many, seeded(), probability=0.3).inputs["image"]
    mirrored = (found == many.inputs["image"].flip(-1)).flatten(1).all(1) & ~(found == many.inputs["image"]).flatten(1).all(1)
    assert abs(int(mirrored.sum()) / 2000 - 0.3) < 0.04


@pytest.mark.parametrize(("height", "width"), [(16, 16), (10, 21), (9, 6)])
def test_rotation_is_that_of_torchvision(height, width):
    given_batch = batch(12, 2, height, width)
    found = rotate(given_batch, seeded(3), degrees=70.0).inputs["image"]
    # The same draws, by the definition: an angle uniform in [-70, 70].
    angles = (torch.rand(12, generator=seeded(3)) * 2 - 1) * 70
    assert float(angles.min()) < -20 and float(angles.max()) > 20
    for image, turned, angle in zip(given_batch.inputs["image"], found, angles, strict=True):
        expected = transforms.rotate(image.float(), float(angle), interpolation=InterpolationMode.BILINEAR)
        assert (expected - turned).abs().max() < 0.02


def test_a_rotation_by_zero_changes_nothing():
    given_batch = batch()
    found = rotate(given_batch, seeded(), degrees=0.0).inputs["image"]
    assert torch.allclose(found, given_batch.inputs["image"].float(), atol=1e-3)


@given(st.integers(0, 10**6), st.integers(1, 13))
@settings(max_examples=30, deadline=None)
def test_cutout_hides_one_square(seed, size):
    given_batch = batch(6, seed=seed)
    images, found = given_batch.inputs["image"], cutout(given_batch, seeded(seed), size=size).inputs["image"]
    for image, cut in zip(images, found, strict=True):
        hidden = (cut == 0).all(0)
        rows, columns = torch.nonzero(hidden, as_tuple=True)
        top, bottom, left, right = int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1
        assert int(hidden.sum()) == (bottom - top) * (right - left)  # a rectangle, whole
        for start, stop, side in ((top, bottom, 10), (left, right, 7)):
            # It is cut off at an edge at most: the centre lies inside.
            assert stop - start == size or start == 0 or stop == side
            assert stop - start <= size and stop - start >= min(size // 2, side)
        assert torch.equal(cut, torch.where(hidden, torch.zeros_like(image), image))


def test_the_centre_of_cutout_is_everywhere():
    images = torch.full((4000, 1, 4, 5), 9, dtype=torch.uint8)
    found = cutout(Batch({"image": images}, torch.zeros(4000).long(), SPACE), seeded(), size=1).inputs["image"]
    counts = (found[:, 0] == 0).sum(0)
    assert int(counts.sum()) == 4000 and int(counts.min()) > 140 and int(counts.max()) < 260  # 200 each, deviation 13.8


@given(st.integers(0, 10**6), st.floats(0.05, 5))
@settings(max_examples=30, deadline=None)
def test_mixup_mixes_images_and_labels_alike(seed, alpha):
    count = 6
    # Image i is lit at pixel i alone, and label i is class i: the mixture can be read off both.
    images = (torch.eye(count).reshape(count, 1, 1, count) * 200).byte()
    space = Classes("toy", tuple("abcdef"))
    found = mixup(Batch({"image": images}, torch.arange(count), space), seeded(seed), alpha=alpha)
    assert torch.allclose(found.labels.sum(1), torch.ones(count), atol=1e-5)
    assert torch.allclose(found.inputs["image"][:, 0, 0] / 200, found.labels, atol=1e-5)
    assert bool((found.labels >= -1e-6).all())
    assert int((found.labels > 1e-6).sum(1).max()) <= 2


def test_mixup_leaves_out_examples_without_an_image():
    """The pixels of an image that is missing are a placeholder, here 255."""
    there = torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    images = torch.where(there, 50, 255)[:, None, None, None].expand(6, 1, 4, 4).byte()
    labels = torch.tensor([0, 2, 1, 0, 2, 1])  # the class 2 has no image
    found = mixup(Batch({"image": images}, labels, SPACE, present={"image": there}), seeded(), alpha=1.0)
    assert bool((found.inputs["image"][there] == 50).all()) and bool((found.labels[there, 2] == 0).all())
    assert torch.equal(found.labels[~there], torch.tensor([[0.0, 0, 1], [0, 0, 1]])) and bool(
        (found.labels[there] % 1 > 0).any()
    )


def test_mixup_draws_its_share_from_beta():
    count = 4000
    images = torch.zeros(count, 1, 1, 1, dtype=torch.uint8)
    images[::2] = 255
    labels = torch.arange(count) % 2
    found = mixup(Batch({"image": images}, labels, SPACE), seeded(), alpha=0.5)
    share = found.labels[torch.arange(count), labels]
    mixed = share[share < 1 - 1e-6]  # the partner had the other class
    assert abs(len(mixed) / count - 0.5) < 0.05
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    assert abs(float(mixed.mean()) - 0.5) < 0.03 and abs(float(mixed.var()) - 1 / 8) < 0.02


@pytest.mark.parametrize(
    ("augment", "options", "word"),
    [
        (crop, {"padding": 0}, "crop.padding=0"),
        (crop, {"padding": 8}, "10 x 7 images. Give 1 to 7"),
        (cutout, {"size": 0}, "cutout.size=0"),
        (cutout, {"size": 14}, "Give 1 to 13"),
        (flip, {"probability": 1.5}, "flip.probability=1.5"),
        (flip, {"probability": -0.1}, "flip.probability=-0.1"),
        (rotate, {"degrees": -5.0}, "rotate.degrees=-5.0"),
        (rotate, {"degrees": 400.0}, "rotate.degrees=400.0"),
        (mixup, {"alpha": 0.0}, "mixup.alpha=0.0"),
        (mixup, {"alpha": float("nan")}, "mixup.alpha=nan"),
    ],
)
def test_silly_options_are_told(augment, options, word):
    with pytest.raises(Problem, match=word):
        augment(batch(), seeded(), **options)
