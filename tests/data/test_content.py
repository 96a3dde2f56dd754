"""Digests of examples by content."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xlearn.data.columns import Ragged
from xlearn.data.content import mixed, of_column, of_images, of_numbers, of_picture, of_samples, of_texts, plain_text


def pixels(height, width, grey=False, seed=0):
    drawn = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return drawn[..., :1].repeat(3, 2) if grey else drawn


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 48), (1500, 2000)])
def test_a_picture_is_the_same_as_a_file_and_as_a_row(size):
    for grey in (True, False):
        drawn = pixels(*size, grey)
        as_rows = of_images(torch.from_numpy(drawn).permute(2, 0, 1)[None])
        assert of_picture(Image.fromarray(drawn)) == int(as_rows)
        if grey:
            one = torch.from_numpy(drawn[..., 0].copy())[None, None]
            assert of_picture(Image.fromarray(drawn[..., 0].copy())) == int(of_images(one)) == int(as_rows)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_a_picture_of_any_mode_has_the_digest_of_its_pixels(mode):
    shown = Image.fromarray(pixels(9, 8)).convert(mode).convert("RGB")
    rows = torch.from_numpy(numpy.array(shown)).permute(2, 0, 1)[None]
    assert of_picture(shown) == int(of_images(rows))


def test_shape_and_every_pixel_count():
    drawn = torch.from_numpy(pixels(6, 4)).permute(2, 0, 1)[None]
    changed = drawn.clone()
    changed[0, 2, 5, 3] += 1
    turned = drawn.reshape(1, 3, 4, 6)
    swapped = drawn.flip(1)
    assert len({int(of_images(each)) for each in (drawn, changed, turned, swapped)}) == 4


def test_rows_do_not_depend_on_their_neighbours():
    rows = torch.cat(
        [torch.from_numpy(pixels(4, 4, grey=place % 2 == 0, seed=place)).permute(2, 0, 1)[None] for place in range(130)]
    )
    found = of_images(rows)
    assert len(found.unique()) == 130
    assert torch.equal(found, torch.cat([of_images(each[None]) for each in rows]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello,  World!", "hello world"),
        ("\uff28\uff25\uff2c\uff2c\uff2f", "hello"),
        ("你好\uff0c世界。", "你好,世界"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("한글", "한글"),
        ("a\u200bb", "ab"),
    ],
)
def test_near_copies_of_texts_are_equal(one, other):
    assert len(of_texts([one, other]).unique()) == 1


def test_texts_that_differ_otherwise_are_not():
    texts = ["a", "b", "", "!", "?", "😀", "😂", "+", "ab", "half \ud83d", "half \ud83c"]
    assert len(of_texts(texts).unique()) == len(texts)


@given(st.lists(st.text(alphabet=st.characters(), max_size=12), min_size=1, max_size=12))
def test_many_texts_at_once_are_each_by_itself(texts):
    at_once = of_texts(texts)
    assert at_once.tolist() == [int(of_texts([text])) for text in texts]
    for one, first in zip(texts, at_once.tolist(), strict=True):
        for other, second in zip(texts, at_once.tolist(), strict=True):
            assert (plain_text(one) == plain_text(other)) == (first == second)


def test_numbers_by_name_whatever_their_order():
    values = torch.tensor(
        [[1.0, 2.0, torch.nan], [1.0, 2.0, 0.0], [1.0, 2.0, -0.0], [2.0, 1.0, 0.0], [1 + 1e-9, 2.0, 0.0]]
    ).double()
    values[4, 0] = 1 + 1e-12
    found = of_numbers(values, ("a", "b", "c"))
    assert torch.equal(found, of_numbers(values[:, [2, 0, 1]], ("c", "a", "b")))
    assert found[1] == found[2] and len(found.unique()) == 4


def test_sounds_by_samples_and_rate():
    wave = numpy.linspace(-1, 1, 50, dtype=numpy.float32)
    rows = Ragged.of([torch.from_numpy(wave), torch.from_numpy(wave[:-1])])
    found = of_column(rows, rate=8000)
    assert int(found[0]) == of_samples(wave, 8000) != of_samples(wave, 16000)
    assert found[0] != found[1]


def test_no_modality_is_zero_and_order_counts():
    one, other = torch.tensor([0, 5, 7]), torch.tensor([0, 7, 5])
    assert mixed([one, other])[0] == 0
    assert mixed([one, other])[1] != mixed([one, other])[2]
