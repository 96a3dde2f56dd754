"""The cost of content digests: in memory per row, and beside decoding files.

    python scripts/bench/content.py

Prints microseconds per row for built-in and random data. For JPEG pictures of 256 pixels and FLAC sounds of a second: the time
of reading a file (a picture is resized to 96 pixels) and the share that its digest adds.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy
import torch
from PIL import Image

from xlearn.data.content import of_column, of_picture, of_samples
from xlearn.data.tasks import Raw
from xlearn.data.tasks._mnist5k import mnist5k
from xlearn.data.tasks._optdigits import optdigits
from xlearn.data.tasks._reviews_zh import reviews_zh
from xlearn.data.tasks._sms_spam import sms_spam


def best(run: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return min(found)


def rows() -> None:
    generator = torch.Generator().manual_seed(0)
    colour = torch.randint(0, 256, (20_000, 3, 32, 32), dtype=torch.uint8, generator=generator)
    numbers = torch.randn(100_000, 20, generator=generator)
    named: dict[str, Raw] = {"mnist5k": mnist5k(), "optdigits": optdigits(), "sms_spam": sms_spam()}
    named["reviews_zh (hotel)"] = reviews_zh(domain="hotel")
    columns = {name: next(iter(raw.inputs.values())) for name, raw in named.items()}
    columns |= {"colour, 3 x 32 x 32": colour, "20 numbers": numbers}
    for name, column in columns.items():
        names = [f"x{n}" for n in range(20)] if name == "20 numbers" else []
        took = best(lambda column=column, names=names: of_column(column, names))
        print(f"{name:<22}{1e6 * took / len(column):8.2f} us a row")


def files() -> None:
    random = numpy.random.default_rng(0)
    stored = []
    for _ in range(200):
        drawn = random.integers(0, 256, (32, 32, 3), dtype=numpy.uint8)
        stream = io.BytesIO()
        Image.fromarray(drawn).resize((256, 256), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        stored.append(stream.getvalue())

    def decode() -> list[Any]:
        shown = []
        for content in stored:
            with Image.open(io.BytesIO(content)) as opened:
                shown.append(opened.convert("RGB"))
                numpy.asarray(shown[-1].resize((96, 96), Image.Resampling.BILINEAR))
        return shown

    import soundfile

    waves = []
    for _ in range(200):
        stream = io.BytesIO()
        soundfile.write(stream, random.normal(size=16_000) * 0.1, 16_000, format="FLAC")
        waves.append(stream.getvalue())

    def hear() -> list[Any]:
        heard = []
        for content in waves:
            with soundfile.SoundFile(io.BytesIO(content)) as opened:
                heard.append(opened.read(dtype="float32", always_2d=True).mean(1))
        return heard

    shown, heard = decode(), hear()
    for name, read, given, digest in (
        ("JPEG, 256 pixels", decode, shown, of_picture),
        ("FLAC, 1 second", hear, heard, lambda wave: of_samples(wave, 16_000)),
    ):
        reading = best(read)
        digests = best(lambda given=given, digest=digest: [digest(each) for each in given])
        print(f"{name:<22}{1e6 * reading / len(given):8.0f} us a file, its digest {100 * digests / reading:.1f} % of it")


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows()
    files()
