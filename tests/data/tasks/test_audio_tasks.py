"""Sounds from files: rates, channels, damage, folders; the recorded digits and the vowels."""

import numpy
import pytest
import soundfile
import torch
from toys.folders import folders, record
from toys.runs import needs_digits

from xlearn.data.tasks import OPEN, TEST, sound
from xlearn.data.tasks import _fsdd as fsdd
from xlearn.data.tasks._audio_folder import audio_folder
from xlearn.data.tasks._japanese_vowels import japanese_vowels
from xlearn.data.tasks.sound import Reading, read_sounds
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_flat_folder(tmp_path):
    root = folders(tmp_path / "words", "yes", "no")
    found = audio_folder(folder=str(root))
    assert found.classes == ("no", "yes") and found.labels.tolist() == [0, 0, 1, 1] and found.official is None
    assert found.rate == 8000 and found.notes == {} and found.inputs["audio"].lengths.tolist() == [800] * 4
    expected = record(tmp_path / "again.wav", seed=0)
    numpy.testing.assert_array_equal(found.inputs["audio"].values[1600:2400].numpy(), expected)


def test_split_folders(tmp_path):
    found = audio_folder(folder=str(folders(tmp_path, "train/yes", "train/no", "test/yes", "test/no", count=1)))
    assert sorted(zip(found.official.tolist(), found.labels.tolist(), strict=True)) == [
        (OPEN, 0),
        (OPEN, 1),
        (TEST, 0),
        (TEST, 1),
    ]
    folders(tmp_path, "others/yes")
    with pytest.raises(Problem, match="test, train look like splits, but beside them stand others"):
        audio_folder(folder=str(tmp_path))


def test_channels_are_averaged_and_rates_made_one(tmp_path):
    from scipy.signal import resample_poly

    stereo = record(tmp_path / "x" / "a" / "1.wav", rate=16000, channels=2)
    low = record(tmp_path / "x" / "b" / "1.flac", rate=8000, subtype="PCM_16")
    found = audio_folder(folder=str(tmp_path / "x"))
    assert found.rate == 8000 and found.notes == {"resampled": 1, "from_rates": [16000]}
    waves = found.inputs["audio"].values.numpy()
    numpy.testing.assert_allclose(waves[:800], resample_poly(stereo, 1, 2), atol=1e-6)
    numpy.testing.assert_allclose(waves[800:], low, atol=1e-4)
    higher = audio_folder(folder=str(tmp_path / "x"), rate=16000)
    assert higher.rate == 16000 and higher.notes == {"resampled": 1, "from_rates": [8000]}
    assert higher.inputs["audio"].lengths.tolist() == [1600, 1600]


def test_long_sounds_are_cut(tmp_path):
    record(tmp_path / "x" / "a" / "1.wav", seconds=0.3)
    record(tmp_path / "x" / "b" / "1.wav", seconds=0.1)
    found = audio_folder(folder=str(tmp_path / "x"), seconds=0.2)
    assert found.notes == {"cut": 1} and found.inputs["audio"].lengths.tolist() == [1600, 800]


def damage(root):
    (root / "yes" / "nothing.wav").write_bytes(b"")
    (root / "yes" / "text.wav").write_bytes(b"this is no sound")
    soundfile.write(root / "no" / "empty.wav", numpy.zeros(0, numpy.float32), 8000)
    soundfile.write(root / "no" / "silent.wav", numpy.zeros(800, numpy.float32), 8000)
    soundfile.write(root / "no" / "offset.wav", numpy.full(800, 0.3, numpy.float32), 8000)
    soundfile.write(root / "no" / "nan.wav", numpy.full(800, numpy.nan, numpy.float32), 8000, subtype="FLOAT")


def test_damaged_empty_and_silent_files_are_named_or_counted(tmp_path):
    root = folders(tmp_path / "x", "yes", "no")
    damage(root)
    with pytest.raises(Problem) as told:
        audio_folder(folder=str(root))
    names = (
        "yes/nothing.wav",
        "yes/text.wav",
        "no/empty.wav (empty)",
        "no/silent.wav (silent)",
        "no/offset.wav (silent)",
        "no/nan.wav",
    )
    for word in (*names, "6 sound(s)", "skip_bad=true"):
        assert word in str(told.value)
    for _ in range(2):  # from the cache, too
        found = audio_folder(folder=str(root), skip_bad=True)
        assert found.notes == {"bad_sounds": 6} and found.labels.tolist() == [0, 0, 1, 1]
        assert found.inputs["audio"].lengths.tolist() == [800] * 4


def test_only_the_first_ten_are_named(tmp_path):
    for number in range(13):
        (tmp_path / f"{number}.wav").write_bytes(b"x")
    with pytest.raises(Problem) as told:
        read_sounds([tmp_path / f"{number}.wav" for number in range(13)], Reading("mine"), "stamp")
    assert "mine: 13 sound(s)" in str(told.value) and len(str(told.value).splitlines()) == 11
    with pytest.raises(Problem, match="none of its 13 sounds"):
        read_sounds([tmp_path / f"{number}.wav" for number in range(13)], Reading("mine", skip_bad=True), "stamp")


def test_paths_bytes_and_rows_without_a_sound(tmp_path):
    expected = torch.from_numpy(record(tmp_path / "1.wav"))
    content = (tmp_path / "1.wav").read_bytes()
    rows = [
        tmp_path / "1.wav",
        str(tmp_path / "1.wav"),
        content,
        {"path": "x", "bytes": content},
        {"path": str(tmp_path / "1.wav")},
    ]
    found = read_sounds([*rows, None, b"damaged"], Reading("mine", skip_bad=True), "stamp")
    assert found.waves.lengths.tolist() == [800] * 5 + [0, 0] and found.bad.tolist() == [False] * 6 + [True]
    assert found.rate == 8000 and found.notes == {"bad_sounds": 1}
    assert torch.equal(found.waves.values.reshape(5, 800), expected.expand(5, 800))


def test_the_second_read_comes_from_the_cache_and_a_changed_file_is_noticed(tmp_path, monkeypatch):
    root = folders(tmp_path / "x", "yes", "no")
    first = audio_folder(folder=str(root))
    read, calls = sound._read, []
    monkeypatch.setattr(sound, "_read", lambda *given: calls.append(1) or read(*given))
    assert torch.equal(audio_folder(folder=str(root)).inputs["audio"].values, first.inputs["audio"].values) and not calls
    record(root / "yes" / "0.wav", seconds=0.2)
    assert audio_folder(folder=str(root)).inputs["audio"].lengths.tolist() == [800, 800, 1600, 800] and calls == [1]


@pytest.mark.parametrize(("option", "word"), [({"rate": 0}, "rate=0"), ({"seconds": 0.0}, "seconds=0")])
def test_silly_options_are_told(tmp_path, option, word):
    with pytest.raises(Problem, match=word):
        audio_folder(folder=str(folders(tmp_path, "yes", "no")), **option)


def test_wrong_folders_are_told(tmp_path):
    with pytest.raises(Problem, match="folder=/nowhere/x: there is no such folder"):
        audio_folder(folder="/nowhere/x")
    with pytest.raises(Problem, match="2 sounds in 1 class folders"):
        audio_folder(folder=str(folders(tmp_path / "one", "yes")))


def test_the_digits_are_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path))
    with pytest.raises(Problem, match=r"fsdd\.zip \(the free-spoken-digit-dataset.* is not here\. Put it into"):
        fsdd.fsdd()
    (tmp_path / "fsdd.zip").write_bytes(b"another file")
    with pytest.raises(Problem, match="expected b0c65e83"):
        fsdd.fsdd()


@pytest.mark.parametrize(
    ("options", "word"),
    [({"speakers": ["teo"]}, "Did you mean 'theo'"), ({"without": ["x"]}, "Known: george"),
     ({"speakers": ["theo"], "without": ["theo"]}, "leave no speaker")],
)  # fmt: skip
def test_speakers_that_do_not_exist(options, word):
    with pytest.raises(Problem, match=word):
        fsdd.fsdd(**options)


@needs_digits
def test_a_speaker_is_a_domain():
    others, theo = fsdd.fsdd(without=["theo"]), fsdd.fsdd(speakers=["theo"])
    assert len(others.labels) == 2500 and len(theo.labels) == 500
    assert others.space == theo.space == "digits" and others.classes == theo.classes == tuple("0123456789")
    assert torch.bincount(theo.labels).tolist() == [50] * 10 and theo.rate == 8000
    assert theo.notes == {"speakers": ["theo"]} and theo.inputs["audio"].values.dtype == torch.float32


@pytest.mark.slow
def test_the_vowels():
    found = japanese_vowels()
    frames = found.inputs["audio"]
    assert frames.values.shape == (9961, 12) and frames.lengths.min() == 7 and frames.lengths.max() == 29
    assert (
        torch.bincount(found.labels[found.official == OPEN]).tolist() == [30] * 9 and int((found.official == TEST).sum()) == 370
    )
    assert float(frames.values[0, 0]) == pytest.approx(1.860936) and float(frames.values[0, 1]) == pytest.approx(-0.207383)


def test_the_same_files_at_another_rate_have_the_same_origin(tmp_path):
    root = folders(tmp_path, "yes", "no")
    (root / "no" / "1.wav").write_bytes(b"no sound")
    low, high = (audio_folder(folder=str(root), rate=rate, skip_bad=True) for rate in (4000, 8000))
    assert low.origin["audio"][0] == high.origin["audio"][0]
    assert low.origin["audio"][1].tolist() == high.origin["audio"][1].tolist() == [0, 2, 3]
