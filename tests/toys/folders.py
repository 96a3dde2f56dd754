"""Folders of pictures and sounds, one file after the other."""

import numpy
import soundfile
from PIL import Image

from toys.tasks import pixels
from xlearn.data.tasks._image_folder import image_folder

PETS = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")


def draw(file, seed=0, side=8):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, side)).save(file, "PNG")
    return file


def tree(root, *names):
    for seed, name in enumerate(names):
        draw(root / name, seed)
    return root


def read(root, **options):
    return image_folder(folder=str(root), size=8, **options)


def record(file, seconds=0.1, rate=8000, channels=1, seed=0, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    wave = numpy.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(numpy.float32)
    soundfile.write(file, wave, rate, **{"subtype": "FLOAT", **options})
    return wave.mean(1)


def folders(root, *names, count=2):
    for position, name in enumerate(names):
        for number in range(count):
            record(root / name / f"{number}.wav", seed=10 * position + number)
    return root
