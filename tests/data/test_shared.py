"""Large columns are views of files of the cache."""

import torch

from xlearn.data import shared as module
from xlearn.data.columns import Ragged
from xlearn.data.shared import shared, shared_raw
from xlearn.data.tasks import Raw
from xlearn.runtime.storage import is_mapped


def test_large_columns_are_shared_with_equal_bits(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 100)
    generator = torch.Generator().manual_seed(0)
    pixels, numbers = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8), torch.randn(50, 3, generator=generator)
    waves = Ragged.of([torch.randn(n + 1, generator=generator) for n in range(50)])
    raw = Raw({"image": pixels, "tabular": numbers, "audio": waves, "text": ["a"] * 50}, torch.zeros(50), ("a",))
    for _ in range(2):
        found = shared_raw(raw, "fingerprint").inputs
        assert torch.equal(found["image"], pixels) and torch.equal(found["tabular"], numbers)
        assert torch.equal(found["audio"].values, waves.values) and torch.equal(found["audio"].offsets, waves.offsets)
        assert found["text"] is raw.inputs["text"]
        assert is_mapped(found["image"]) and is_mapped(found["audio"].values) and not is_mapped(pixels)
    assert shared(found["image"], "another key", False) is found["image"]  # it lies in a file already


def test_small_columns_stay(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1000)
    column = torch.zeros(20, 3)
    assert shared(column, "small", False) is column
