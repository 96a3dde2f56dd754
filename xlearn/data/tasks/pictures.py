"""Files of pictures as a viewer shows them: upright, the first frame, transparent parts on a plain colour, 8 bits."""

from functools import cache
from typing import Any

import numpy

from xlearn.runtime.errors import Problem

# Formats of Pillow that hold pictures of pixels.
FORMATS = {"PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "AVIF", "QOI", "PCX", "SGI"}
# Those that a build of Pillow may lack.
OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


@cache
def endings() -> frozenset[str]:
    """The endings of the files that Pillow reads here, in lower case, with their dots."""
    from PIL import Image, features

    known = Image.registered_extensions()
    lacking = {name for name, feature in OPTIONAL.items() if not features.check(feature)}
    return frozenset(ending for ending, name in known.items() if name in FORMATS - lacking)


def colour(background: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour name or #rrggbb. Raises `Problem`."""
    from PIL import ImageColor

    try:
        found = ImageColor.getrgb(background)
    except ValueError:
        found = ()
    if len(found) != 3:
        raise Problem(f"background={background}: give a colour by its name, e.g. white, or as '#rrggbb'.")
    return found


def shown(opened: Any, background: tuple[int, int, int]) -> Any:
    """The picture of an opened Pillow image, in mode L or RGB, at its full size.

    Turned and mirrored by its orientation (EXIF, TIFF or XMP). Where it is transparent (an alpha channel, or a transparent
    colour of a palette, of grey or of RGB), `background` shows through. Grey of 16 bits is scaled to 8. CMYK, LAB, HSV and
    YCbCr are converted as Pillow does, without the file's colour profile. Raises `ValueError` for grey values of unknown range.
    """
    opened.load()
    turn = _turn(opened)
    image = _deep(opened)
    if image is None:
        image = _composed(opened, background) if opened.has_transparency_data else _plain(opened)
    elif "transparency" in opened.info:
        image = _without(image, numpy.asarray(opened) == opened.info["transparency"], background)
    return image if turn is None else image.transpose(turn)


def animated(opened: Any) -> bool:
    """Whether a file holds further frames or pages. (The second picture of an MPO, which phones write, is no page.)"""
    return bool(getattr(opened, "is_animated", False)) and opened.format != "MPO"


def _turn(opened: Any) -> Any:
    from PIL import ExifTags, Image

    turns = Image.Transpose
    by_orientation = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }
    try:
        return by_orientation.get(opened.getexif().get(ExifTags.Base.Orientation))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises many kinds; viewers show the picture all the same
        return None


def _deep(opened: Any) -> Any:
    """Grey of more than 8 bits, scaled, because Pillow's `convert` would clip it at 255; None for other modes."""
    from PIL import Image

    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in ("PNG", "PPM")):
        return Image.fromarray(((numpy.asarray(opened).astype(numpy.uint32) + 128) // 257).astype(numpy.uint8))
    if opened.mode in ("I", "F"):
        raise ValueError(f"mode {opened.mode}: the range of its grey values is unknown; save it with 8 or 16 bits")
    return None


def _plain(opened: Any) -> Any:
    if opened.mode in ("L", "RGB"):
        return opened
    if opened.mode == "LAB":
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(opened, lab, rgb, outputMode="RGB")
    return opened.convert("L" if opened.mode == "1" else "RGB")


def _composed(opened: Any, background: tuple[int, int, int]) -> Any:
    from PIL import Image

    transparent = opened.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:  # of 16 bits, which Pillow has reduced to 8 in the pixels
        opened.info["transparency"] = tuple(each >> 8 for each in transparent)
    image = opened.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB")


def _without(image: Any, hidden: numpy.ndarray, background: tuple[int, int, int]) -> Any:
    """A grey image, with the background where `hidden`, bool `[height, width]`."""
    from PIL import Image

    image = image.convert("RGB")
    image.paste(background, mask=Image.fromarray(hidden))
    return image
