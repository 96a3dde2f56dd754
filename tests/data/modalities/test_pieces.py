"""What inputs consist of, and how pieces are hidden."""

import pytest
import torch
from torch.nn import functional
from toys.modalities import related_column, related_context

from xlearn.data.columns import Ragged, Sequences, take
from xlearn.data.modalities.audio import Stretches
from xlearn.data.modalities.image import Patches
from xlearn.data.modalities.pieces import drawn
from xlearn.data.modalities.tabular import Columns
from xlearn.data.modalities.text import Words
from xlearn.data.task import ImageSpec, TextSpec
from xlearn.objectives.self_supervision.mae import Mae


def of(name, count=6):
    return take(related_column(name, count), torch.arange(count))


def test_patches_are_those_that_torch_unfolds():
    images = of("image")
    found = Patches(ImageSpec(2, 6, 7), 3).cut(images)
    expected = functional.unfold(images[:, :, :, :6].float(), 3, stride=3).transpose(1, 2) / 127.5 - 1
    assert found.content.shape == (6, 4, 18) and torch.allclose(found.content, expected) and bool(found.there.all())


def test_hidden_patches_have_the_mean_colour_and_nothing_else_changes():
    images, pieces = of("image"), Patches(ImageSpec(2, 6, 7), 3)
    hidden = torch.zeros(6, 4, dtype=torch.bool)
    hidden[0, 1] = hidden[2, 2] = True  # top right but for the strip, and bottom left
    found = pieces.hide(images, hidden)
    expected = images.clone()
    mean = images[[0, 2]].float().mean((0, 2, 3)).round().byte()
    expected[0, :, :3, 3:6] = expected[2, :, 3:, :3] = mean[:, None, None]
    assert found.dtype == torch.uint8 and torch.equal(found, expected)


def test_tokens_that_are_padding_or_unknown_are_no_pieces():
    mask = torch.tensor([[True, True, True, False], [False] * 4])
    texts = Sequences(torch.tensor([[5, 1, 7, 0], [0] * 4]).int(), mask)
    pieces = Words(TextSpec(9, 4, "toy", unknown=1))
    assert pieces.cut(texts).there.tolist() == [[True, False, True, False], [False] * 4]
    hidden = pieces.hide(texts, torch.tensor([[False, False, True, False], [False] * 4]))
    assert hidden.values.tolist() == [[5, 1, 1, 0], [0] * 4] and hidden.mask is mask


def test_the_last_stretch_of_a_sound_may_be_shorter():
    frames = Ragged.of([torch.arange(10.0).view(5, 2), torch.ones(2, 2)]).take(torch.arange(2))
    pieces = Stretches(bands=2, frames=3, longest=5)
    found = pieces.cut(frames)
    assert (pieces.places, pieces.size) == (2, 6)
    assert found.content[0].tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 0, 0]]
    assert found.known.sum(2).tolist() == [[6, 4], [4, 0]] and found.there.tolist() == [[True, True], [True, False]]
    hidden = pieces.hide(frames, torch.tensor([[False, True], [False, False]]))
    assert hidden.values[0].tolist() == [[0, 1], [2, 3], [4, 5], [0, 0], [0, 0]]
    assert torch.equal(hidden.values[1], frames.values[1])


def test_hidden_columns_are_missing_and_missing_ones_are_no_pieces():
    values = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    found = Columns(2).cut(values)
    assert found.there.tolist() == [[True, False], [True, True]]
    hidden = Columns(2).hide(values, torch.tensor([[False, False], [False, True]]))
    assert hidden.isnan().tolist() == [[False, True], [False, True]] and hidden[:, 0].tolist() == [1, 2]


def test_so_many_are_drawn_each_as_likely_and_none_that_is_not_there():
    there = torch.tensor([True, True, False, True, True]).expand(4000, 5)
    torch.manual_seed(0)
    found = drawn(there, torch.full((4000,), 3))
    assert found.sum(1).eq(3).all() and not found[:, 2].any()
    assert found[:, [0, 1, 3, 4]].float().mean(0).tolist() == pytest.approx([0.75] * 4, abs=0.03)
    assert drawn(there[:1], torch.tensor([9])).tolist() == there[:1].tolist()


@pytest.mark.parametrize(("side", "patch"), [(1, 1), (8, 2), (28, 4), (32, 4), (224, 32)])
def test_patches_suit_the_images_where_none_are_given(side, patch):
    start, _ = related_context("image", image=ImageSpec(1, side, side), count=2)
    pieces = Mae(start, width=2).pieces.pieces["image"]
    assert isinstance(pieces, Patches) and pieces.patch == patch
