"""The Free Spoken Digit Dataset: ten digits by six speakers."""

import zipfile
from pathlib import Path

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.owners import owners
from xlearn.data.tasks.sound import Reading, read_sounds
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.storage import data_folders, downloads, sha256

FILE = "fsdd.zip"
SHA256 = "b0c65e83ed2b79d31c6a8e2ac02c69a2e364ee992f1301916e0f14db7df663bd"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = "0123456789"


def fsdd(*, speakers: list[str] | None = None, without: list[str] | None = None, split_by: str | None = None) -> Raw:
    """3,000 recordings at 8 kHz: 50 of each digit by each speaker (Jackson et al., 2018; CC BY-SA 4.0).

    A speaker is a domain: `speakers` are read (null: all six), `without` are left out, so that
    `source.fsdd.without=[theo] target.speakers=[theo]` learns from five speakers and is measured on the sixth. The label space
    is `digits`, as of the other digit tasks. No official test split. `split_by`: `speaker` keeps all recordings of a speaker on
    one side of every split; null: the test split has other recordings of the speakers in training.
    """
    chosen = _chosen(speakers, without)
    if split_by not in (None, "speaker"):
        raise Problem(f"fsdd.split_by={split_by}: give speaker, or null.")
    with zipfile.ZipFile(_archive()) as archive:
        recordings, labels, places, names = [], [], [], []
        for place, name in enumerate(sorted(name for name in archive.namelist() if name.endswith(".wav"))):
            digit, _, rest = Path(name).stem.partition("_")
            if rest.rpartition("_")[0] in chosen:
                recordings.append(archive.read(name))
                labels.append(DIGITS.index(digit))
                places.append(place)
                names.append(Path(name).name)
    found = read_sounds(recordings, Reading("fsdd"), f"{SHA256} {chosen}")
    notes, origin = {"speakers": chosen}, {"audio": ("fsdd", torch.tensor(places))}
    owner = owners([name.split("_")[1] for name in names]) if split_by else None
    return Raw(
        {"audio": found.waves}, torch.tensor(labels), tuple(DIGITS), "digits", notes=notes, rate=found.rate, origin=origin,
        names=names, owner=owner,
    )  # fmt: skip


def _chosen(speakers: list[str] | None, without: list[str] | None) -> list[str]:
    for key, names in (("speakers", speakers), ("without", without)):
        for name in names or ():
            if name not in SPEAKERS:
                raise Problem(f"fsdd.{key}: there is no speaker {name!r}. {nearest(name, SPEAKERS)}")
    left = [name for name in SPEAKERS if (speakers is None or name in speakers) and name not in (without or ())]
    if not left:
        raise Problem(f"fsdd.speakers={speakers} and without={without} leave no speaker. Known: {', '.join(SPEAKERS)}.")
    return left


def _archive() -> Path:
    for folder in data_folders():
        if (file := folder / FILE).is_file():
            if (found := sha256(file)) != SHA256:
                raise Problem(f"{file} has the sha256 {found}, expected {SHA256}. Replace it by the published archive.")
            return file
    raise Problem(
        f"{FILE} (the free-spoken-digit-dataset, 3,000 recordings, with its folder recordings/) is not here. Put it into "
        f"{downloads()}, or into a folder that $XLEARN_DATA names."
    )
