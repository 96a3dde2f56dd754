"""Near copies of photographs: how many are found, and how many different photographs are taken for copies.

    python scripts/bench/near_pictures.py FOLDER    # photographs, each once; at least 64 pixels a side
    python scripts/bench/near_pictures.py --time    # 10,000 pictures of 256 pixels: reading, with and without the hashes

FOLDER may hold folders; each is a set of its own: false alarms are counted within a set. Large photographs are cut into six
parts as well, which look alike in colours and textures, but are no copies.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagehash
import numpy
import torch
from PIL import Image

from xlearn.data.content import of_picture
from xlearn.data.near_pictures import DISTANCE, pairs, picture_hash
from xlearn.data.tasks.pictures import endings, shown

WHITE = (255, 255, 255)
LARGE = 900


def jpeg(image: Any, quality: int) -> Any:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).copy()


def resized(image: Any, factor: float) -> Any:
    size = [max(64, round(factor * side)) for side in image.size]
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image: Any, share: float, sides: str) -> Any:
    """`share` of the width and height is cut off: half of it at each side, or all of it at the right and at the bottom."""
    width, height = image.size
    x, y = share * width, share * height
    box = (x / 2, y / 2, width - x / 2, height - y / 2) if sides == "all" else (0, 0, width - x, height - y)
    return image.crop(tuple(round(each) for each in box))


COPIES: dict[str, Callable[[Any], Any]] = {
    **{f"JPEG {quality}": lambda image, quality=quality: jpeg(image, quality) for quality in (90, 60, 30)},
    **{f"resized x {factor}": lambda image, factor=factor: resized(image, factor) for factor in (0.5, 0.7, 1.5, 2)},
    "resized x 0.5, JPEG 60": lambda image: jpeg(resized(image, 0.5), 60),
    "grey": lambda image: image.convert("L"),
    "cropped 1 % (all sides)": lambda image: cropped(image, 0.01, "all"),
    "cropped 2 % (all sides)": lambda image: cropped(image, 0.02, "all"),
    "cropped 2 % (two sides)": lambda image: cropped(image, 0.02, "two"),
    "cropped 2 % (two sides), JPEG 60": lambda image: jpeg(cropped(image, 0.02, "two"), 60),
    "cropped 5 % (all sides)": lambda image: cropped(image, 0.05, "all"),
    "cropped 10 % (all sides)": lambda image: cropped(image, 0.10, "all"),
    "cropped 20 % (all sides)": lambda image: cropped(image, 0.20, "all"),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter by 20 %": lambda image: image.point(lambda value: min(255, round(1.2 * value))),
}


def other(function: Callable[..., Any]) -> Callable[[Any], int]:
    def of(image: Any) -> int:
        return int(numpy.packbits(function(image).hash.ravel()).view(">i8")[0])

    return of


HASHES: dict[str, Callable[[Any], int]] = {
    "chosen": picture_hash, "phash": other(imagehash.phash), "dhash": other(imagehash.dhash), "whash": other(imagehash.whash),
    "average_hash": other(imagehash.average_hash),
}  # fmt: skip


def photographs(folder: Path) -> Iterator[tuple[str, Any]]:
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings() and file.is_file()):
        with Image.open(file) as opened:
            image = shown(opened, WHITE).convert("RGB")
        if min(image.size) < 64:
            continue
        image.thumbnail((LARGE * 2, LARGE * 2))
        where = str(file.parent.relative_to(folder))
        yield where, image
        width, height = image.size
        if min(width, height) >= LARGE:
            for x in range(3):
                for y in range(2):
                    box = (x * width // 3, y * height // 2, (x + 1) * width // 3, (y + 1) * height // 2)
                    yield f"{where}, in parts", image.crop(box)


def measure(folder: Path, distances: list[int]) -> None:
    found = [*photographs(folder)]
    sets = {where: [image for place, image in found if place == where] for where, _ in found}
    print({where: len(images) for where, images in sets.items()})
    for name, of in HASHES.items():
        hashes = {where: torch.tensor([of(image) for image in images]) for where, images in sets.items()}
        print(f"\n{name}: false alarms at a distance of {distances}")
        for where, each in hashes.items():
            near = [pairs(each, None, distance) for distance in distances]
            pictures = [len(both.unique()) / len(each) for both in near]
            share = [len(both) / (len(each) * (len(each) - 1) / 2) for both in near]
            print(
                f"  {where}: pairs {[f'{value:.5f}' for value in share]}, photographs {[f'{value:.3f}' for value in pictures]}"
            )
        if name not in ("chosen", "dhash"):
            continue
        print(f"{name}: recall")
        for kind, change in COPIES.items():
            far = []
            for where, images in sets.items():
                changed = [of(change(image)) for image in images]
                far += [bin((int(a) ^ b) & (2**64 - 1)).count("1") for a, b in zip(hashes[where], changed, strict=True)]
            recall = [sum(each <= distance for each in far) / len(far) for distance in distances]
            print(f"  {kind:<34} {' '.join(f'{value:.3f}' for value in recall)}  (largest distance {max(far)})")


def clock() -> None:
    """Seconds a picture for photographs of noise and blobs, 256 x 256, JPEG 90."""
    from xlearn.data.tasks.decoding import Decoding, read_pictures

    generator = numpy.random.default_rng(0)
    base = [Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=numpy.uint8)).resize((256, 256)) for _ in range(50)]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number in range(10_000):
            files.append(f"{folder}/{number}.jpg")
            base[number % 50].save(files[-1], quality=90)
        begin, used = time.perf_counter(), time.process_time()
        read_pictures(files, files, Decoding("10,000 pictures", 224, 3, False), f"{time.time()}")
        seconds, used = time.perf_counter() - begin, time.process_time() - used
        print(f"10,000 pictures of 256 pixels: {seconds:.1f} s, {used:.1f} s of the processor, all included")
        spent = dict.fromkeys(("decoding and resizing", "digest", "hash"), 0.0)
        for file in files[:2000]:
            begin = time.process_time()
            with Image.open(file) as opened:
                image = shown(opened, WHITE)
                image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
            decoded = time.process_time()
            of_picture(image)
            digested = time.process_time()
            picture_hash(image)
            spent["decoding and resizing"] += decoded - begin
            spent["digest"] += digested - decoded
            spent["hash"] += time.process_time() - digested
        print({name: f"{1e3 * seconds / 2000:.3f} ms" for name, seconds in spent.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--distances", type=int, nargs="*", default=[4, 6, DISTANCE, 10, 12])
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.folder:
        measure(given.folder, sorted({*given.distances}))
    if given.time:
        clock()
