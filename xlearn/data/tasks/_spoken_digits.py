"""Spoken digits: images and recordings of digits, paired by their class."""

from typing import Literal

import torch
from torch import Tensor

from xlearn.data.columns import Ragged
from xlearn.data.tasks import Raw, RawColumn
from xlearn.data.tasks._fsdd import fsdd
from xlearn.data.tasks._mnist5k import mnist5k
from xlearn.data.tasks._optdigits import optdigits
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.hashing import derive

IMAGES = {"mnist5k": mnist5k, "optdigits": optdigits}


def spoken_digits(
    *,
    images: Literal["mnist5k", "optdigits"] = "mnist5k",
    pairing: int = 0,
    speakers: list[str] | None = None,
    without: list[str] | None = None,
) -> Raw:
    """An image of a digit and a recording of the same digit, paired at random within the class, as in AV-MNIST (Vielzeuf et
    al., ECCV-W 2018). The two sides of a pair have nothing in common but the class.

    Each image and each recording is in one pair at most, so that no two splits have one in common: 300 pairs per digit with
    `mnist5k`, 174 to 183 with `optdigits`, which has fewer images. `pairing` is the seed of the pairs. `speakers` and `without`
    as of `fsdd`. The label space is `digits`, as of the other digit tasks.
    """
    if images not in IMAGES:
        raise Problem(f"images={images}: {nearest(images, IMAGES)}")
    seen, heard = IMAGES[images](), fsdd(speakers=speakers, without=without)
    generator = torch.Generator().manual_seed(derive(pairing, "spoken_digits"))
    image_rows, audio_rows = [], []
    for digit in range(len(seen.classes)):
        sides = [torch.nonzero(raw.labels == digit).flatten() for raw in (seen, heard)]
        shuffled = [rows[torch.randperm(len(rows), generator=generator)] for rows in sides]
        count = min(len(rows) for rows in sides)
        image_rows.append(shuffled[0][:count])
        audio_rows.append(shuffled[1][:count])
    image_index, audio_index = torch.cat(image_rows), torch.cat(audio_rows)
    notes = {
        **heard.notes,
        "pairing": f"class-paired: {images} images with fsdd recordings of the same digit, at random (pairing={pairing})",
    }
    pictures, waves = seen.inputs["image"], heard.inputs["audio"]
    assert isinstance(pictures, Tensor) and isinstance(waves, Ragged)
    inputs: dict[str, RawColumn] = {"image": pictures[image_index], "audio": waves.subset(audio_index)}
    # With these the leak guard recognises an image or a recording of a pair in another task.
    sides = {"image": (seen.origin["image"], image_index), "audio": (heard.origin["audio"], audio_index)}
    origin = {name: (data, rows[index]) for name, ((data, rows), index) in sides.items()}
    return Raw(inputs, seen.labels[image_index], seen.classes, "digits", notes=notes, rate=heard.rate, origin=origin)
