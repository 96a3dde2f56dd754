"""Augmentations for views: crops against torchvision, contrast and brightness, stretches of unknown tokens."""

from functools import partial

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torchvision.transforms.v2 import functional as transforms

from xlearn.data.augment._brightness import brightness
from xlearn.data.augment._resized_crop import _boxes, resized, resized_crop
from xlearn.data.augment._span_masking import span_masking
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem

SPACE = Classes("toy", ("a", "b", "c"))
EVERY = {
    "resized_crop": partial(resized_crop, smallest=0.2),
    "brightness": partial(brightness, contrast=0.4, brightness=0.2),
    "span_masking": partial(span_masking, share=0.3, mean_length=3.0),
}
# Some thirty laws are tested: at the usual 0.01, one of them would be refused by chance for every third seed.
LEAST = 0.001
READS = {"resized_crop": "image", "brightness": "image", "span_masking": "text"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=8, channels=3, height=10, width=7, dtype=torch.uint8, same=False):
    images = torch.randint(0, 256, (count, channels, height, width), generator=seeded(), dtype=torch.uint8).to(dtype)
    return Batch({"image": images[:1].repeat(count, 1, 1, 1) if same else images}, torch.arange(count) % 3, SPACE)


def texts(*lengths, size=None):
    """All tokens are number 7, and padding behind them is 0."""
    mask = torch.arange(size or max(lengths)) < torch.tensor(lengths)[:, None]
    return Batch({"text": Sequences((mask * 7).int(), mask)}, torch.zeros(len(lengths)).long(), SPACE)


def both():
    return Batch({**pictures().inputs, **texts(*[20] * 8).inputs}, torch.arange(8) % 3, SPACE)


def values(batch, name):
    found = batch.inputs[name]
    return found.values if isinstance(found, Sequences) else found


@pytest.mark.parametrize("name", EVERY)
def test_the_generator_alone_decides_and_only_its_modality_changes(name):
    reads = READS[name]
    before = both()
    found = EVERY[name](before, seeded(5))
    assert torch.equal(values(found, reads), values(EVERY[name](before, seeded(5)), reads))
    assert not torch.equal(values(found, reads), values(EVERY[name](before, seeded(6)), reads))
    [other] = {"image", "text"} - {reads}
    assert found.inputs[other] is before.inputs[other] and torch.equal(found.labels, before.labels)
    assert torch.equal(values(before, reads), values(both(), reads))  # the examples themselves stay as they are
    without = before.only(other)
    assert EVERY[name](without, seeded()) is without


@pytest.mark.parametrize("name", EVERY)
def test_every_example_is_drawn_by_itself(name):
    same = Batch({**pictures(32, same=True).inputs, **texts(*[20] * 32).inputs}, torch.arange(32) % 3, SPACE)
    found = values(EVERY[name](same, seeded()), READS[name])
    assert len({tuple(example.flatten().tolist()) for example in found}) >= 30


@pytest.mark.parametrize("name", ["resized_crop", "brightness"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_become_floats_of_the_same_range(name, dtype):
    found = EVERY[name](pictures(200, dtype=dtype), seeded()).inputs["image"]
    assert found.dtype == torch.float32 and found.shape == (200, 3, 10, 7)
    assert float(found.min()) >= 0 and float(found.max()) <= 255.001


@given(st.integers(3, 24), st.integers(3, 24), st.data())
@settings(max_examples=40, deadline=None)
def test_a_box_of_whole_pixels_is_cut_and_resized_as_by_torchvision(height, width, data):
    images = pictures(2, 2, height, width).inputs["image"]
    boxes = []
    for _ in images:
        tall, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
        boxes.append((data.draw(st.integers(0, height - tall)), data.draw(st.integers(0, width - wide)), tall, wide))
    found = resized(images.float(), torch.tensor(boxes, dtype=torch.float64))
    for image, box, cut in zip(images, boxes, found, strict=True):
        expected = transforms.resized_crop(image.float(), *box, size=[height, width], antialias=False)
        assert (cut - expected).abs().max() < 0.05


def test_a_box_between_pixels_is_read_off_a_slope():
    # Bilinear interpolation is exact on planes: pixel (y, x) of this one holds 10 (y + 1/2) + (x + 1/2).
    image = (10 * (torch.arange(12.0) + 0.5)[:, None] + torch.arange(16.0) + 0.5)[None, None]
    top, left, tall, wide = 2.3, 4.6, 6.4, 8.8
    found = resized(image, torch.tensor([[top, left, tall, wide]]))[0, 0]
    rows, columns = (torch.arange(12) + 0.5) / 12 * tall, (torch.arange(16) + 0.5) / 16 * wide
    expected = 10 * (top + rows.clamp(0.5, tall - 0.5))[:, None] + left + columns.clamp(0.5, wide - 0.5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_a_crop_of_everything_changes_nothing():
    before = pictures(height=9, width=20)
    found = resized_crop(before, seeded(), smallest=1.0, largest=1.0, ratio=2.0).inputs["image"]
    torch.testing.assert_close(found, before.inputs["image"].float(), rtol=0, atol=0.01)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (20, 60), (9, 8)])
@pytest.mark.parametrize(("smallest", "largest", "ratio"), [(0.08, 1.0, 4 / 3), (0.01, 0.3, 3.0), (0.5, 0.9, 1.0)])
def test_crops_have_their_share_of_the_area_and_lie_within_the_image(height, width, smallest, largest, ratio):
    top, left, tall, wide = _boxes(3000, height, width, smallest, largest, ratio, seeded()).numpy().T
    share = tall * wide / (height * width)
    assert kstest(share, "uniform", (smallest, largest - smallest)).pvalue > LEAST
    assert top.min() >= 0 and left.min() >= 0 and (top + tall).max() <= height + 1e-9 and (left + wide).max() <= width + 1e-9
    free = (height - tall > 1e-6) & (width - wide > 1e-6)
    # In an image three times as wide as high, a large crop is as high as the image.
    assert free.any() or width == 60
    for start, room in ((top, height - tall), (left, width - wide)) if free.any() else ():
        assert kstest((start / room.clip(1e-9))[free], "uniform").pvalue > LEAST
    # Where the range fits, the aspect ratio is log-uniform in it; where not, the crop is as near to it as fits.
    shape, widest = numpy.log(wide / tall), numpy.log(ratio) if ratio > 1 else 1e-9
    fits = abs(numpy.log(width / height)) + widest < -numpy.log(share)
    if fits.sum() > 100:
        assert (
            kstest(shape[fits], "uniform", (-widest, 2 * widest)).pvalue > LEAST if ratio > 1 else abs(shape[fits]).max() < 1e-9
        )
    outside = abs(shape) > widest + 1e-9
    assert ((tall[outside] > height - 1e-6) | (wide[outside] > width - 1e-6)).all()


def test_contrast_stretches_about_the_mean_and_brightness_shifts():
    images = 100 + torch.randint(0, 40, (5000, 2, 4, 5), generator=seeded(), dtype=torch.uint8)  # far from 0 and 255
    before = Batch({"image": images}, torch.zeros(5000).long(), SPACE)
    found = brightness(before, seeded(1), contrast=0.6, brightness=0.1).inputs["image"].flatten(1)
    pixels = images.float().flatten(1)
    shift = (found.mean(1) - pixels.mean(1)) / 255
    factor = found.std(1) / pixels.std(1)
    expected = factor[:, None] * (pixels - pixels.mean(1, keepdim=True)) + (pixels.mean(1) + 255 * shift)[:, None]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
    assert kstest(factor.numpy(), "uniform", (0.4, 1.2)).pvalue > LEAST < kstest(shift.numpy(), "uniform", (-0.1, 0.2)).pvalue
    assert abs(float(torch.corrcoef(torch.stack([factor, shift]))[0, 1])) < 0.05


def test_contrast_of_grey_images_is_that_of_torchvision():
    before = pictures(20, channels=1)
    found = brightness(before, seeded(), contrast=0.8, brightness=0.0).inputs["image"]
    for image, changed in zip(before.inputs["image"].float(), found, strict=True):
        inner = (changed > 1) & (changed < 254)
        factor = float(changed[inner].std() / image[inner].std())
        # torchvision takes floats to lie in 0..1, and clamps there.
        expected = 255 * transforms.adjust_contrast(image / 255, factor)
        assert (expected - changed).abs().max() < 0.05
    plain = brightness(before, seeded(), contrast=0.0, brightness=0.0).inputs["image"]
    assert torch.allclose(plain, before.inputs["image"].float(), atol=1e-4)


def hidden(batch, **options):
    found = span_masking(batch, seeded(3), **options).inputs["text"]
    assert torch.equal(found.mask, batch.inputs["text"].mask) and found.values.dtype == torch.int32
    assert set(found.values[found.mask].unique().tolist()) <= {1, 7} and not bool(found.values[~found.mask].any())
    return found.values == 1


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 0.95])
def test_each_text_loses_its_share_rounded_to_either_side(share):
    lengths = [*range(41)] * 60
    counts = hidden(texts(*lengths, size=45), share=share, mean_length=3.8).sum(1)
    wanted = share * torch.tensor(lengths)
    assert bool(((counts >= (wanted - 1e-9).floor()) & (counts <= (wanted + 1e-9).ceil())).all())
    assert abs(float(counts.sum() / torch.tensor(lengths).sum()) - share) < 0.004


def test_every_place_is_as_likely_to_be_hidden_as_any_other():
    count = 20000
    found = hidden(texts(*[9] * count, size=11), share=0.3, mean_length=3.0)[:, :9].sum(0) / count
    assert float((found - 0.3).abs().max()) < 0.015  # deviation 0.003


@pytest.mark.parametrize("mean_length", [1.0, 2.0, 3.8, 5.0])
def test_stretches_have_the_mean_and_the_law_of_cut_off_geometric_lengths(mean_length):
    # Texts so long, and so little of them hidden, that few stretches touch and the last ones, which are cut, hardly count.
    found = hidden(texts(*[8000] * 100), share=0.02, mean_length=mean_length).int()
    edges = torch.nn.functional.pad(found, (1, 1)).diff()
    lengths = (torch.nonzero(edges == -1)[:, 1] - torch.nonzero(edges == 1)[:, 1]).numpy()
    assert abs(lengths.mean() / mean_length - 1) < 0.04
    assert (lengths > 10).mean() < 0.02  # where two touch
    counts = numpy.bincount(lengths, minlength=11)[1:11] / len(lengths)
    if mean_length == 3.8:  # SpanBERT's own numbers: p = 0.2, cut off behind 10
        law = 0.2 * 0.8 ** numpy.arange(10)
        assert abs(counts - law / law.sum()).max() < 0.02
    if mean_length == 1.0:
        assert counts[0] > 0.97


def test_features_and_tokens_of_a_frozen_encoder_stay_as_they_are():
    given_batch = texts(5, 4)
    given_batch.encoded = frozenset({"text"})
    floats = Batch({"text": Sequences(torch.zeros(2, 3, 4), torch.ones(2, 3).bool())}, torch.zeros(2).long(), SPACE)
    for batch in (given_batch, floats):
        assert EVERY["span_masking"](batch, seeded()) is batch


@pytest.mark.parametrize(
    ("augment", "options", "told"),
    [
        (resized_crop, {"smallest": 0.5, "largest": 1.2}, "resized_crop.largest=1.2: a crop larger than the image"),
        (resized_crop, {"smallest": 0.0}, "resized_crop.smallest=0.0: give a share above 0 and at most largest=1.0"),
        (resized_crop, {"smallest": 0.6, "largest": 0.5}, "smallest=0.6: give a share above 0 and at most largest=0.5"),
        (resized_crop, {"smallest": 0.5, "ratio": 0.75}, "resized_crop.ratio=0.75: give 1 or more"),
        (resized_crop, {"smallest": float("nan")}, "smallest=nan"),
        (brightness, {"contrast": 1.2, "brightness": 0.1}, "brightness.contrast=1.2"),
        (brightness, {"contrast": 0.2, "brightness": -0.1}, "brightness.brightness=-0.1"),
        (span_masking, {"share": 1.0, "mean_length": 3.0}, "span_masking.share=1.0"),
        (span_masking, {"share": 0.1, "mean_length": 0.5}, "span_masking.mean_length=0.5.*at most 10 tokens"),
        (span_masking, {"share": 0.1, "mean_length": 5.5}, "below 5.5"),
    ],
)
def test_silly_options_are_told(augment, options, told):
    with pytest.raises(Problem, match=told):
        augment(both(), seeded(), **options)
