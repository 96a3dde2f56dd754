"""Hashes of near copies against ImageHash, and pairs against counted bits."""

import imagehash
import numpy
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from xlearn.data import near_pictures
from xlearn.data.near_pictures import pairs, picture_hash


def bits(one, other):
    return bin((int(one) ^ int(other)) & (2**64 - 1)).count("1")


def photographs():
    """A temple and a flower."""
    return [Image.fromarray(each) for each in load_sample_images().images]


def test_the_hash_is_that_of_imagehash():
    for image in photographs():
        small = image.convert("L").resize((64, 64))
        assert picture_hash(small) & (2**64 - 1) == int(str(imagehash.phash(small)), 16)
        assert bits(picture_hash(image), picture_hash(small)) <= near_pictures.DISTANCE


def test_pictures_without_a_hash():
    image = photographs()[0]
    assert picture_hash(image.resize((63, 200))) == 0 and picture_hash(image.resize((64, 200))) != 0
    assert picture_hash(Image.new("RGB", (100, 100), "red")) == 0


def test_copies_are_near_and_other_photographs_are_not():
    images = photographs()
    copies = [image.resize((image.width // 2, image.height // 2)) for image in images]
    one, other = (torch.tensor([picture_hash(each) for each in group]) for group in (images, copies))
    assert pairs(one, other).tolist() == [[0, 0], [1, 1]]
    assert pairs(one).tolist() == []


@pytest.mark.parametrize("distance", [0, 3, 8, 10])
@pytest.mark.parametrize("limit", [0, near_pictures.ALL])
def test_pairs_are_those_of_few_bits(monkeypatch, distance, limit):
    monkeypatch.setattr(near_pictures, "ALL", limit)
    random = numpy.random.default_rng(0)
    one = torch.from_numpy(random.integers(-(2**63), 2**63, 60))
    other = one.clone()
    for row in range(60):
        for bit in random.permutation(64)[: row % 14]:
            other[row] ^= -(2**63) if bit == 63 else 1 << int(bit)
    other[40] = other[3] = 0
    wanted = [[i, j] for i in range(60) for j in range(60) if other[j] != 0 and bits(one[i], other[j]) <= distance]
    assert pairs(one, other, distance).tolist() == wanted
    both = torch.cat([one, other])
    wanted = [
        [i, j] for i in range(120) for j in range(i + 1, 120) if both[i] and both[j] and bits(both[i], both[j]) <= distance
    ]
    assert pairs(both, None, distance).tolist() == wanted
    assert pairs(torch.zeros(3, dtype=torch.int64)).shape == (0, 2)
