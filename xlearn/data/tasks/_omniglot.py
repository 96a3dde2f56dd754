"""Omniglot: handwritten characters of many alphabets, few drawings of each."""

import zipfile
from pathlib import Path
from typing import Literal

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.decoding import Decoding, read_pictures
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.storage import data_folders, downloads, sha256

Part = Literal["small1", "small2"]
SHA256: dict[Part, str] = {
    "small1": "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    "small2": "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
}
ALPHABETS: dict[Part, tuple[str, ...]] = {
    "small1": ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"),
    "small2": ("Greek", "Japanese_katakana", "Latin", "Sanskrit", "Tagalog"),
}
DRAWN, DRAWERS = 105, 20


def omniglot(
    *,
    part: Part,
    alphabets: list[str] | None = None,
    without: list[str] | None = None,
    size: int | None = 28,
    rotations: bool = False,
) -> Raw:
    """136 (`part: small1`) or 156 (`small2`) characters of five alphabets, each drawn once by 20 people (Lake, Salakhutdinov
    and Tenenbaum, Science 2015; MIT): the two small background sets of the published archive.

    Images uint8 `[n, 1, size, size]`: bright strokes on black, as in the digit tasks (the files are black on white, 105 x 105),
    resized bilinearly with antialiasing; `size: null` keeps 105 x 105. Classes are called `Greek/character01`; the label space
    is `omniglot`. `alphabets` are read (null: all of the part), `without` are left out. With `rotations` every character turned
    counterclockwise by 90, 180 and 270 degrees is a class too, `Greek/character01/90` (Santoro et al., ICML 2016, and most
    papers on few-shot learning). These are four times the classes with the same drawings, so that splits by examples instead of
    classes have a drawing on both sides.

    Greek and Latin are in both parts, file for file the same. `origin` numbers a drawing over all of Omniglot, 20 (character -
    1) + (person - 1), as its file name does, so that the leak guard recognises a drawing of the other part. Raises `Problem`
    for unknown alphabets, if none is left, and for a missing or different archive.
    """
    chosen = _chosen(part, alphabets, without)
    with zipfile.ZipFile(_archive(part)) as archive:
        drawings = sorted(name for name in archive.namelist() if name.endswith(".png"))
        named = [_classname(name) for name in drawings]
        classes = list(dict.fromkeys(named))
        every = torch.tensor([classes.index(name) for name in named])
        files = ({"bytes": archive.read(name), "path": name} for name in drawings)
        how = Decoding(f"omniglot_{part}", DRAWN if size is None else size, 1, False)
        # The whole part, which is decoded once for all choices of alphabets.
        images = read_pictures(files, drawings, how, SHA256[part]).images
    kept = torch.tensor([classname.partition("/")[0] in chosen for classname in classes])
    wanted = torch.nonzero(kept[every]).flatten()
    names = [classname for classname, stays in zip(classes, kept.tolist(), strict=True) if stays]
    labels, drawn = (kept.cumsum(0) - 1)[every[wanted]], 255 - images[wanted]
    turns = range(4 if rotations else 1)
    return Raw(
        {"image": torch.cat([drawn.rot90(turn, (2, 3)) for turn in turns])},
        torch.cat([labels + turn * len(names) for turn in turns]),
        tuple(f"{name}/{90 * turn}" if turn else name for turn in turns for name in names),
        "omniglot",
        notes={"alphabets": chosen, **({"rotations": "0, 90, 180, 270 degrees"} if rotations else {})},
        origin={"image": ("omniglot", torch.tensor([_number(name) for name in drawings])[wanted].repeat(len(turns)))},
    )


def _classname(file: str) -> str:
    """`Greek/character01` of `images_background_small1/Greek/character01/0394_01.png`. Parentheses, which the command line
    takes for a call, are left out.
    """
    alphabet, character = Path(file).parts[-3:-1]
    return f"{alphabet.replace('(', '').replace(')', '')}/{character}"


def _number(file: str) -> int:
    """The position of a drawing in all of Omniglot: files are named by character and person, both from 1."""
    character, person = Path(file).stem.split("_")
    return DRAWERS * (int(character) - 1) + int(person) - 1


def _chosen(part: Part, alphabets: list[str] | None, without: list[str] | None) -> list[str]:
    known = ALPHABETS[part]
    for key, names in (("alphabets", alphabets), ("without", without)):
        for name in names or ():
            if name not in known:
                raise Problem(f"omniglot_{part}.{key}: there is no alphabet {name!r}. {nearest(name, known)}")
    left = [name for name in known if (alphabets is None or name in alphabets) and name not in (without or ())]
    if not left:
        raise Problem(
            f"omniglot_{part}.alphabets={alphabets} and without={without} leave no alphabet. Known: {', '.join(known)}."
        )
    return left


def _archive(part: Part) -> Path:
    name = f"omniglot_{part}.zip"
    for folder in data_folders():
        if (file := folder / name).is_file():
            if (found := sha256(file)) != SHA256[part]:
                raise Problem(f"{file} has the sha256 {found}, expected {SHA256[part]}. Replace it by the published archive.")
            return file
    raise Problem(
        f"{name} (images_background_{part}.zip of github.com/brendenlake/omniglot, under this name) is not here. Put it into "
        f"{downloads()}, or into a folder that $XLEARN_DATA names."
    )
