"""The front end of sound: against scipy, clip by clip, and what it refuses."""

import numpy
import pytest
import torch
from scipy import signal

from xlearn.data.columns import Ragged
from xlearn.data.modalities import Pool, log_mel
from xlearn.data.modalities.audio import fit, wave_format
from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")
RATE = 8000


def clips(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Ragged.of([torch.randn(length, generator=generator) * 0.1 for length in lengths])


def pool(column, rate=RATE, name="sounds", train=None):
    labels = torch.arange(len(column)) % 2
    raw = Raw({"audio": column}, labels, ("a", "b"), "toy", rate=rate)
    rows = torch.arange(len(column)) if train is None else train
    return Pool(name, raw, f"{name} {float(column.values.double().sum())} {rate}", rows)


def parts(column):
    return [column.values[a:b] for a, b in zip(column.offsets[:-1].tolist(), column.offsets[1:].tolist(), strict=True)]


def reference(wave, rate, bands, window, hop):
    """scipy's short-time Fourier transform, and the mel bands by linear interpolation, one band at a time."""
    wave = wave.double().numpy()
    wave = wave / numpy.sqrt(numpy.mean(wave**2))
    samples, step = round(window * rate), round(hop * rate)
    length = 1 << (samples - 1).bit_length()
    frequencies, _, spectrum = signal.stft(
        wave, rate, signal.get_window("hann", samples), samples, samples - step, length, boundary=None, padded=False
    )
    # scipy divides by the window's sum; here the power is to be that of a window of unit energy.
    hann = signal.get_window("hann", samples)
    power = numpy.abs(spectrum * hann.sum()) ** 2 / (hann**2).sum()

    def mel(hertz):
        return 2595 * numpy.log10(1 + hertz / 700)

    corners = [700 * (10 ** (m / 2595) - 1) for m in numpy.linspace(mel(20.0), mel(rate / 2), bands + 2)]
    rows = [numpy.interp(frequencies, corners[band : band + 3], [0, 1, 0], left=0, right=0) @ power for band in range(bands)]
    logarithm = numpy.log(numpy.stack(rows, 1) + 0.01)
    # Less its mean over time nothing would be left of a single frame: it is less its mean over bands.
    centred = logarithm - (logarithm.mean(0) if len(logarithm) > 1 else logarithm.mean())
    return centred / max(centred.std(), 1e-3)


@pytest.mark.parametrize(
    ("rate", "bands", "window", "hop"), [(8000, 40, 0.025, 0.01), (16000, 80, 0.025, 0.01), (11025, 20, 0.03, 0.012)]
)
def test_log_mel_is_what_scipy_gives(rate, bands, window, hop):
    waves = clips(400, 3000, 2047, 2600, seed=3)
    found = log_mel.log_mel(waves, rate, bands, window, hop)
    for wave, frames in zip(parts(waves), parts(found), strict=True):
        expected = reference(wave, rate, bands, window, hop)
        assert frames.dtype == torch.float32 and frames.shape == expected.shape
        numpy.testing.assert_allclose(frames.numpy(), expected, atol=2e-3)


def test_a_sound_of_one_frame_keeps_its_spectrum():
    """The fault: all features of sounds below 35 ms were 0, so that a low tone was a high one."""
    seconds = torch.arange(200) / RATE
    found = log_mel.log_mel(Ragged.of([torch.sin(6.2832 * hertz * seconds) for hertz in (400, 3000)]), RATE, 20, 0.025, 0.01)
    assert found.lengths.tolist() == [1, 1]
    low, high = found.values
    assert int(low.argmax()) < 8 < 14 < int(high.argmax())
    for frame in (low, high):
        assert abs(float(frame.mean())) < 1e-5 and float(frame.std(correction=0)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("wave", [torch.zeros(900), torch.zeros(90), torch.full((1,), 0.3), torch.full((900,), 0.3)])
def test_silence_and_single_samples_are_finite(wave):
    frames = log_mel.log_mel(Ragged.of([wave]), RATE, 20, 0.025, 0.01)
    assert bool(frames.values.isfinite().all()) and bool(log_mel.standardised(Ragged.of([wave])).values.isfinite().all())


def test_equal_precomputed_frames_are_refused():
    with pytest.raises(Problem, match=r"sounds: all 4 training frame\(s\) are equal"):
        fit([pool(Ragged.of([torch.ones(2, 3), torch.ones(2, 3)]))], {})


def test_clips_do_not_touch_each_other():
    waves = clips(90, 1000, 0, 199, 5000)
    together = log_mel.log_mel(waves, RATE, 30, 0.025, 0.01)
    assert together.lengths.tolist() == [1, 11, 0, 1, 61] and bool(together.values.isfinite().all())
    for row in (0, 1, 3, 4):
        alone = log_mel.log_mel(waves.subset(torch.tensor([row])), RATE, 30, 0.025, 0.01)
        torch.testing.assert_close(parts(together)[row], alone.values, atol=1e-5, rtol=1e-5)


def test_loudness_and_colour_do_not_matter():
    waves = clips(4000)
    first = log_mel.log_mel(waves, RATE, 30, 0.025, 0.01).values
    louder = log_mel.log_mel(Ragged(waves.values * 50, waves.offsets), RATE, 30, 0.025, 0.01).values
    torch.testing.assert_close(first, louder, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first.mean(0), torch.zeros(30), atol=1e-5, rtol=0)
    assert float(first.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_a_tone_lies_in_its_band():
    time = torch.arange(RATE) / RATE
    rising = torch.cat([torch.sin(2 * torch.pi * 500 * time), torch.sin(2 * torch.pi * 2000 * time)])
    frames = log_mel.log_mel(Ragged.of([rising]), RATE, 40, 0.025, 0.01).values
    mel = log_mel.hertz_to_mel(torch.tensor([20.0, 500.0, 2000.0, 4000.0]))
    for part, tone in ((frames[:90], mel[1]), (frames[110:], mel[2])):
        expected = float((tone - mel[0]) / (mel[3] - mel[0])) * 41 - 1
        assert abs(int(part.mean(0).argmax()) - expected) <= 1


@pytest.mark.parametrize(("before", "after"), [(16000, 8000), (8000, 16000), (11025, 8000)])
def test_resampling_is_scipys_clip_by_clip(before, after):
    waves = clips(1000, 3, 777, 0, 1500)
    found = log_mel.resampled(waves, before, after)
    common = numpy.gcd(before, after)
    for wave, again in zip(parts(waves), parts(found), strict=True):
        if len(wave):
            expected = signal.resample_poly(wave.numpy(), after // common, before // common)
            numpy.testing.assert_allclose(again.numpy(), expected, atol=1e-6)
        else:
            assert len(again) == 0


def test_tasks_meet_at_the_lowest_rate():
    high, low = pool(clips(3200, 1600), 16000, "high"), pool(clips(1600, 800), 8000, "low")
    form = fit([high, low], {})
    assert form.spec.rate == 8000 and form.spec.bands == 40
    column, notes = form(high)
    assert notes == {"resampled": 2, "from_rate": 16000, "to_rate": 8000} and column.lengths.tolist() == [18, 8]
    assert form(low)[1] == {}
    assert fit([high, low], {"rate": 16000}).spec.rate == 16000
    assert fit([low], {}).spec == form.spec  # nothing is learned: the form is the same with another task beside it


def test_the_second_time_frames_come_from_the_cache(monkeypatch):
    from xlearn.data.modalities import audio

    given = pool(clips(3000, 4000))
    form = fit([given], {"bands": 20})
    first, _ = form(given)
    monkeypatch.setattr(audio, "log_mel", lambda *_: pytest.fail("computed again"))
    assert torch.equal(form(given)[0].values, first.values)


def test_what_makes_another_form_makes_another_spec():
    given = [pool(clips(3000, 4000))]
    options = [{}, {"bands": 32}, {"window": 0.03}, {"hop": 0.02}, {"seconds": 0.1}, {"rate": 4000, "bands": 32}]
    assert len({fit(given, each).spec for each in options}) == len(options)


def test_long_sounds_are_cut():
    given = pool(clips(4000, 800, 8000))
    column, notes = fit([given], {"seconds": 0.25})(given)
    assert notes == {"cut": 2} and column.lengths.tolist() == [23, 8, 23]
    start = Ragged.of([wave[:2000] for wave in parts(given.raw.inputs["audio"])])
    torch.testing.assert_close(column.values, log_mel.log_mel(start, RATE, 40, 0.025, 0.01).values)


def test_frames_pass_through_with_the_statistics_of_training_rows():
    frames = Ragged.of([torch.randn(length, 5) * 3 + 7 for length in (4, 9, 6, 2)])
    given = pool(frames, None, "vowels", train=torch.tensor([1, 3]))
    form = fit([given], {})
    column, notes = form(given)
    seen = torch.cat([parts(frames)[1], parts(frames)[3]])
    torch.testing.assert_close(column.values, (frames.values - seen.mean(0)) / seen.std(0, correction=0))
    assert form.spec.bands == 5 and form.spec.rate is None and notes == {} and torch.equal(column.offsets, frames.offsets)
    assert fit([pool(frames, None, "vowels", train=torch.tensor([0]))], {}).spec != form.spec


def test_waves_at_a_required_rate():
    given = pool(clips(3200, 0, 800))
    column, notes = (form := wave_format([given], {}, 16000))(given)
    assert form.spec.bands == 0 and form.spec.rate == 16000 and notes["to_rate"] == 16000
    assert column.lengths.tolist() == [6400, 0, 1600] and column.values.ndim == 1
    for wave in (parts(column)[0], parts(column)[2]):
        assert float(wave.mean()) == pytest.approx(0, abs=1e-4) and float(wave.std(correction=0)) == pytest.approx(1, abs=1e-3)
    plain = wave_format([given], {}, 8000, standardise=False)
    assert torch.equal(plain(given)[0].values, given.raw.inputs["audio"].values)
    with pytest.raises(Problem, match="audio.rate=8000: this encoder reads waves at 16000"):
        wave_format([given], {"rate": 8000}, 16000)


def test_what_does_not_go_together_is_told():
    waves, five = pool(clips(3000), name="digits"), pool(Ragged.of([torch.randn(4, 5)]), None, "vowels")
    with pytest.raises(Problem, match="digits has waves and vowels has precomputed frames"):
        fit([waves, five], {})
    with pytest.raises(Problem, match="vowels has frames of 5 numbers and birds has frames of 7"):
        fit([five, pool(Ragged.of([torch.randn(4, 7)]), None, "birds")], {})
    with pytest.raises(Problem, match="vowels has frames, but this encoder reads waves"):
        wave_format([five], {}, 16000)
    with pytest.raises(Problem, match="has waves without a rate"):
        fit([pool(clips(3000), None)], {})


@pytest.mark.parametrize(
    ("options", "word"),
    [({"bands": 0}, "audio.bands=0"), ({"hop": 0.0}, "audio.hop=0.0"), ({"window": -1.0}, "audio.window"),
     ({"rate": 0}, "audio.rate=0"), ({"seconds": 0.0}, "audio.seconds"), ({"bands": 200}, "audio.bands=200: .* of them"),
     ({"band": 3}, "Did you mean 'bands'")],
)  # fmt: skip
def test_silly_options_are_told(options, word):
    with pytest.raises(Problem, match=word):
        fit([pool(clips(3000))], options)
