"""Pictures as a viewer shows them, against Pillow's own functions and pictures made by hand."""

import io

import numpy
import pytest
from PIL import Image, ImageOps
from toys.tasks import pixels

from xlearn.data.content import of_picture
from xlearn.data.tasks.pictures import animated, colour, endings, shown
from xlearn.runtime.errors import Problem

WHITE = (255, 255, 255)


def saved(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Image.open(io.BytesIO(stream.getvalue()))


def seen(image, kind="PNG", background=WHITE, **options):
    return numpy.asarray(shown(saved(image, kind, **options), background).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_eight_orientations(orientation, kind):
    image = Image.fromarray(numpy.ascontiguousarray(pixels(1, 12)[:8]))
    exif = image.getexif()
    exif[0x0112] = orientation
    expected = ImageOps.exif_transpose(saved(image, kind, exif=exif)).convert("RGB")
    assert numpy.array_equal(seen(image, kind, exif=exif), numpy.asarray(expected))
    assert expected.size == ((8, 12) if orientation > 4 else (12, 8))


def test_damaged_metadata_turn_nothing():
    image = Image.fromarray(pixels())
    assert numpy.array_equal(seen(image, exif=b"Exif\0\0MM\0*nonsense"), pixels())


def test_half_transparent_colours_are_mixed_with_the_background():
    image = Image.new("RGBA", (4, 4), (200, 100, 0, 102))  # 0.4 of the colour, 0.6 of what is behind it
    assert seen(image)[0, 0].tolist() == [233, 193, 153]
    assert seen(image, background=colour("blue"))[0, 0].tolist() == [80, 40, 153]


def holed(mode):
    """(an image of this mode, whose left half is transparent, the options to save it)."""
    whole = Image.fromarray(pixels(2, 16))
    alpha = Image.fromarray(numpy.repeat([[0] * 8 + [255] * 8], 16, 0).astype(numpy.uint8))
    if mode == "RGBA":
        whole.putalpha(alpha)
        return whole, {}
    if mode == "LA":
        return Image.merge("LA", (whole.convert("L"), alpha)), {}
    values = numpy.full((16, 16), 7, numpy.uint8)
    values[:, 8:] = numpy.arange(8, 16)
    if mode == "RGB":
        return Image.merge("RGB", [Image.fromarray(values)] * 3), {"transparency": (7, 7, 7)}
    if mode == "1":
        return Image.fromarray(values > 7), {"transparency": 0}
    image = Image.fromarray(values, mode="P" if mode == "P" else None)
    if mode == "P":
        image.putpalette([value for each in range(256) for value in (each, 0, each)])
        return image, {"transparency": 7}
    return (image if mode == "L" else Image.fromarray(values.astype(numpy.uint16) * 257)), {
        "transparency": 7 if mode == "L" else 7 * 257
    }


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGB", "1", "P", "L", "I;16"])
def test_every_mode_that_carries_transparency(mode):
    image, options = holed(mode)
    found = seen(image, **options)
    assert (found[:, :8] == 255).all()
    right = image.convert("RGB") if mode != "I;16" else Image.fromarray((numpy.asarray(image) // 257).astype(numpy.uint8))
    assert numpy.array_equal(found[:, 8:], numpy.asarray(right.convert("RGB"))[:, 8:])
    assert (seen(image, background=(1, 2, 3), **options)[:, :8] == (1, 2, 3)).all()


def test_a_black_shape_on_nothing_is_no_black_picture():
    shape = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    shape.paste((0, 0, 0, 255), (2, 2, 6, 6))
    assert seen(shape)[0, 0].tolist() == [255] * 3 and seen(shape)[3, 3].tolist() == [0] * 3


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "TIFF"), ("CMYK", "JPEG"), ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("1", "PNG")]
)
def test_other_colours_as_pillow_shows_them(mode, kind):
    image = Image.fromarray(pixels(3, 16)) if mode != "LAB" else Image.new("LAB", (4, 4), (138, 209, 198))
    found = seen(image if mode == "LAB" else image.convert(mode), kind)
    if mode == "LAB":  # sRGB's red under D50: L 54.3, a 80.8, b 69.9
        assert numpy.abs(found[0, 0].astype(int) - (255, 0, 0)).max() <= 5
        return
    expected = saved(image.convert(mode), kind).convert("RGB")
    assert numpy.array_equal(found, numpy.asarray(expected))


def test_sixteen_bit_colour_is_its_upper_byte():
    import struct
    import zlib

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    values = numpy.random.default_rng(0).integers(0, 65536, (4, 4, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    for clear in (b"", chunk(b"tRNS", values[0, 0].tobytes())):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        content = b"\x89PNG\r\n\x1a\n" + header + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        found = numpy.asarray(shown(Image.open(io.BytesIO(content)), WHITE).convert("RGB"))
        expected = (values >> 8).astype(numpy.uint8)
        if clear:
            expected[0, 0] = 255
        assert numpy.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (8, 8), name) for name in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    several = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert animated(several) and numpy.asarray(shown(several, WHITE).convert("RGB"))[0, 0].tolist() == [255, 0, 0]
    assert not animated(saved(frames[0], kind))


def test_the_digest_follows_what_is_shown():
    image = Image.fromarray(pixels(4, 16))
    exif = image.getexif()
    exif[0x0112] = 6
    turned = saved(image, exif=exif)
    assert of_picture(shown(turned, WHITE)) == of_picture(image.transpose(Image.Transpose.ROTATE_270))
    opaque = image.convert("RGBA")
    assert of_picture(shown(saved(opaque), WHITE)) == of_picture(image) == of_picture(shown(saved(image, "TIFF"), WHITE))


def test_colours_of_the_background():
    assert colour("white") == colour("#ffffff") == WHITE
    for word in ("whitish", "#ff00ff00", ""):
        with pytest.raises(Problem, match=f"background={word}: give a colour"):
            colour(word)


def test_endings_are_those_of_pictures():
    assert {".png", ".jpg", ".jfif", ".jpe", ".tga", ".jp2", ".webp", ".avif"} <= endings()
    assert not {".pdf", ".mpg", ".h5", ".heic", ".txt", ""} & endings()
