"""Sounds as they are: channels that cancel each other, digests, owners, names, memory."""

import numpy
import pytest
import soundfile
from toys.folders import folders, record

from xlearn.data.tasks._audio_folder import audio_folder
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")


def stereo(file, left, right, rate=8000):
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, numpy.stack([left, right], 1).astype(numpy.float32), rate, subtype="FLOAT")


def test_of_channels_that_cancel_each_other_the_louder_one_is_read(tmp_path):
    random = numpy.random.default_rng(0)
    wave, other = (random.uniform(-0.5, 0.5, 800).astype(numpy.float32) for _ in range(2))
    noise = (0.01 * random.normal(size=800)).astype(numpy.float32)
    root = tmp_path / "x"
    cases = {
        "1_opposite": (wave, -wave),
        "2_nearly": (wave, noise - wave),
        "3_weaker": (0.8 * wave, -wave),
        "4_equal": (wave, wave),
        "5_unrelated": (wave, other),
        "6_silent": (wave, 0 * wave),
        "7_offset": (wave + 0.3, wave - 0.3),
    }
    for name, (left, right) in cases.items():
        stereo(root / "a" / f"{name}.wav", left, right)
    record(root / "b" / "1.wav")
    found = audio_folder(folder=str(root))
    assert found.notes == {"cancelling_channels": 3}
    read = dict(zip(found.names, found.inputs["audio"].values.split(800), strict=True))
    for name, (left, right) in cases.items():
        expected = {"1": left, "2": right if right.var() > left.var() else left, "3": right}.get(name[0], (left + right) / 2)
        numpy.testing.assert_allclose(read[f"a/{name}.wav"].numpy(), expected, atol=1e-7)


def test_digests_are_of_the_whole_sound_at_its_own_rate(tmp_path):
    from xlearn.data.content import of_samples

    wave = record(tmp_path / "x" / "a" / "1.wav", rate=16000, channels=2)
    record(tmp_path / "x" / "b" / "1.flac", subtype="PCM_16")
    found, low = (audio_folder(folder=str(tmp_path / "x"), rate=rate) for rate in (None, 4000))
    assert found.content["audio"].tolist() == low.content["audio"].tolist()
    assert int(found.content["audio"][0]) == of_samples(wave, 16000)
    cut = audio_folder(folder=str(tmp_path / "x"), seconds=0.05)
    assert int(cut.content["audio"][0]) == of_samples(wave[:800], 16000)


def test_sounds_without_labels_owners_and_other_files(tmp_path):
    root = folders(tmp_path / "x", "yes", "no", "Unlabeled", count=1)
    (root / "yes" / "1.m4a").write_bytes(b"x")
    found = audio_folder(folder=str(root), split_by=r"(\d)\.wav")
    assert found.classes == ("no", "yes") and found.owner.tolist() == [0, 0, 0]
    assert found.notes == {"skipped": {"ending .m4a": 1}, "unlabelled_rows": 1}
    flat = audio_folder(folder=str(root / "yes"), class_names=["yes", "no"])
    assert flat.labelled.tolist() == [False] and flat.label_space == found.label_space


def test_sounds_whose_names_are_no_utf8(tmp_path):
    import os

    root = folders(tmp_path / "x", "yes", "no", count=1)
    os.rename(root / "yes" / "0.wav", os.path.join(os.fsencode(root / "yes"), b"\xe9.wav"))
    assert audio_folder(folder=str(root)).names == ["no/0.wav", "yes/\\xe9.wav"]


def test_too_little_memory_for_sounds_is_said_before_reading(tmp_path, monkeypatch):
    from xlearn.runtime import memory

    root = folders(tmp_path / "x", "yes", "no")
    monkeypatch.setattr(memory, "available", lambda: 10**4)
    with pytest.raises(Problem, match=r"4 sounds at 8000 Hz need 0\.00 GB of memory"):
        audio_folder(folder=str(root))
    assert len(audio_folder(folder=str(root), rate=2000).labels) == 4
