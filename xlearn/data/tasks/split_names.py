"""Names of folders that stand for splits, or for examples without a label."""

import re

from xlearn.data.tasks.decoding import SPLITS

# Words that say nothing beside that of a split, as in train_images, testset or val2017.
FILLING = {
    "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "audio", "audios", "sound", "sounds", "wav",
    "wavs", "clip", "clips", "data", "dataset", "set", "split", "folder", "file", "files", "samples", "examples", "the",
}  # fmt: skip
UNLABELLED = {"unlabeled", "unlabelled"}
FOLD = re.compile(r"(fold|split|part)[ _-]?\d+")


def split_of(name: str) -> str | None:
    """The word for a split (a key of `SPLITS`) that a name stands for: Train, train_images, 1_train, val2017, trainset."""
    left = _words(name)
    return left[0] if len(left) == 1 and left[0] in SPLITS else None


def is_unlabelled(name: str) -> bool:
    """Whether a folder of this name holds examples without a label: unlabeled, Unlabelled, unlabeled_images."""
    left = _words(name)
    return len(left) == 1 and left[0] in UNLABELLED


def is_fold(name: str) -> bool:
    """Whether a name is that of a part of cross-validation: fold1, split_2."""
    return FOLD.fullmatch(name.lower()) is not None


def _words(name: str) -> list[str]:
    parts = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    words = [part.lower() for part in parts]
    words = [word.removesuffix("set") if word.removesuffix("set") in SPLITS else word for word in words]
    return [word for word in words if word not in FILLING]
