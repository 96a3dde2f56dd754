"""Augmentations of sound: their definitions, the masks, and what is drawn per example."""

from functools import partial

import pytest
import torch

from xlearn.data.augment._noise import noise
from xlearn.data.augment._spec_augment import spec_augment
from xlearn.data.augment._time_shift import time_shift
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem

SPACE = Classes("toy", ("a", "b", "c"))
SPEC = partial(spec_augment, band_masks=2, band_width=4, time_masks=2, time_width=6, time_share=0.4)
EVERY = {"spec_augment": SPEC, "time_shift": partial(time_shift, share=0.3), "noise": partial(noise, low=0.0, high=20.0)}
KINDS = [(name, kind) for name in EVERY for kind in ("frames", "waves") if (name, kind) != ("spec_augment", "waves")]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(kind="frames", lengths=(20, 3, 0, 20, 12, 20, 7, 20), same=False):
    longest = max(lengths)
    shape = (len(lengths), longest, 10) if kind == "frames" else (len(lengths), longest * 10)
    values = torch.randn(1 if same else shape[0], *shape[1:], generator=seeded(4)).expand(shape)
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None] * (1 if kind == "frames" else 10)
    values = values * (mask[:, :, None] if kind == "frames" else mask)
    return Batch({"audio": Sequences(values, mask), "other": torch.arange(len(lengths))}, torch.arange(len(lengths)) % 3, SPACE)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_padding_stays_zero_and_the_rest_as_it_is(name, kind):
    given = batch(kind)
    before = given.inputs["audio"].values.clone()
    found = EVERY[name](given, seeded())
    values, mask = found.inputs["audio"]
    assert torch.equal(given.inputs["audio"].values, before) and torch.equal(mask, given.inputs["audio"].mask)
    assert bool(values.isfinite().all()) and not bool(values[~mask].any()) and values.dtype == torch.float32
    assert not torch.equal(values, before)
    assert torch.equal(found.labels, given.labels) and torch.equal(found.inputs["other"], given.inputs["other"])


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_the_generator_decides_for_every_example(name, kind):
    given = batch(kind, lengths=(20,) * 16, same=True)
    torch.manual_seed(1)
    first = EVERY[name](given, seeded(5)).inputs["audio"].values
    torch.manual_seed(2)
    assert torch.equal(first, EVERY[name](given, seeded(5)).inputs["audio"].values)
    assert not torch.equal(first, EVERY[name](given, seeded(6)).inputs["audio"].values)
    assert len({tuple(each.flatten().tolist()) for each in first}) >= 5


@pytest.mark.parametrize("name", EVERY)
def test_without_sound_nothing_happens(name):
    given = batch().only("other")
    assert EVERY[name](given, seeded()) is given


def test_spec_augment_hides_whole_bands_and_frames():
    given = batch(lengths=(20,) * 64)
    hidden = SPEC(given, seeded()).inputs["audio"].values == 0
    bands, times = hidden.all(1), hidden.all(2)
    assert torch.equal(hidden, bands[:, None, :] | times[:, :, None])
    assert int(bands.sum(1).max()) <= 8 and int(times.sum(1).max()) <= 12 and int(bands.sum()) and int(times.sum())
    widths = bands.sum(1).float()
    assert 2.5 < float(widths.mean()) < 4  # two stretches of 2 on average, which may overlap


def test_spec_augment_needs_frames():
    with pytest.raises(Problem, match="spec_augment needs frames, but these are waves"):
        SPEC(batch("waves"), seeded())


@pytest.mark.parametrize("kind", ["frames", "waves"])
def test_time_shift_moves_what_is_valid(kind):
    given = batch(kind)
    values, mask = given.inputs["audio"]
    found = time_shift(given, seeded(), share=0.3).inputs["audio"].values
    moved = set()
    for row, length in enumerate(mask.sum(1).tolist()):
        old, new = values[row, :length], found[row, :length]
        most = round(0.3 * length)
        for shift in range(-most, most + 1):
            places = torch.arange(length) - shift
            inside = (places >= 0) & (places < length)
            expected = old[places.clamp(0, max(length - 1, 0))]
            if kind == "waves":
                expected = expected * inside
            if torch.equal(new, expected):
                moved.add(shift)
                break
        else:
            pytest.fail(f"row {row} is no shift of itself")
    assert len(moved) > 2
    assert torch.equal(time_shift(given, seeded(), share=0.0).inputs["audio"].values, values)


@pytest.mark.parametrize("ratio", [0.0, 10.0, 30.0])
def test_noise_has_the_ratio_it_says(ratio):
    given = batch("waves", lengths=(2000, 900))
    values, mask = given.inputs["audio"]
    added = noise(given, seeded(), low=ratio, high=ratio).inputs["audio"].values - values
    for row in range(2):
        told = 10 * torch.log10(values[row][mask[row]].square().mean() / added[row][mask[row]].square().mean())
        assert float(told) == pytest.approx(ratio, abs=0.3)
    frames = batch("frames", lengths=(3000, 1500))
    values, mask = frames.inputs["audio"]
    added = noise(frames, seeded(), low=ratio, high=ratio).inputs["audio"].values.exp() - values.exp()
    for row in range(2):
        told = 10 * torch.log10(values[row][mask[row]].exp().mean() / added[row][mask[row]].mean())
        assert float(told) == pytest.approx(ratio, abs=0.3)


@pytest.mark.parametrize(
    ("augment", "word"),
    [
        (partial(time_shift, share=1.0), "time_shift.share=1.0"),
        (partial(noise, low=20.0, high=10.0), "noise.low=20.0 is above high=10.0"),
        (partial(SPEC, band_width=10), "band_width=10: the frames have 10 bands"),
        (partial(SPEC, time_masks=-1), "time_masks=-1"),
        (partial(SPEC, time_share=2.0), "time_share=2.0"),
    ],
)
def test_silly_options_are_told(augment, word):
    with pytest.raises(Problem, match=word):
        augment(batch(), seeded())
