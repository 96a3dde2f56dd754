"""What weights have learned from, in the header of their file."""

import base64
import json

import pytest
import torch
from toys.tasks import blobs

from xlearn.data import provenance
from xlearn.data.copies import digests_of
from xlearn.data.options import TaskOptions
from xlearn.data.provenance import LEARNED_FROM, Provenance, read
from xlearn.data.task_source import TaskSource, rows
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import write_tensors


def written(file, header):
    write_tensors(file, {"w": torch.zeros(2)}, header)
    return file


def test_it_is_read_as_it_was_written(tmp_path):
    one = Provenance(({"image": torch.tensor([3, -5, 3])},), {"fsdd": torch.tensor([7, 1])}, ("a",))
    other = Provenance(({"image": torch.tensor([9])}, {"image": torch.tensor([4]), "text": torch.tensor([2])}))
    found = read(written(tmp_path / "w.safetensors", one.joined(other).header()))
    assert [{name: each.tolist() for name, each in block.items()} for block in found.blocks] == [
        {"image": [-5, 3, 9]},
        {"image": [4], "text": [2]},
    ]
    assert found.places["fsdd"].tolist() == [1, 7] and found.unknown == ("a",)


def test_rows_match_in_all_modalities_that_both_have():
    learned = Provenance(({"image": torch.tensor([1, 2]), "text": torch.tensor([5, 6])},), {"data": torch.tensor([3])})
    image, text = torch.tensor([1, 1, 2, 0]), torch.tensor([5, 6, 6, 0])
    assert learned.matched({"image": image, "text": text}, {}, 4).tolist() == [True, False, True, False]
    assert learned.matched({"image": image}, {}, 4).tolist() == [True, True, True, False]
    assert learned.matched({"audio": image}, {"data": torch.tensor([3, 0, 1, 2])}, 4).tolist() == [True, False, False, False]


def test_whatever_does_not_say_it_is_unknown(tmp_path):
    ones = base64.b64encode(bytes(8)).decode()
    torn = {"rows": [{"image": ones, "text": ""}], "places": {}, "unknown": []}
    for number, header in enumerate((None, {LEARNED_FROM: "{}"}, {LEARNED_FROM: "["}, {LEARNED_FROM: json.dumps(torn)})):
        file = written(tmp_path / f"{number}.safetensors", header)
        assert read(file).unknown == (str(file),) and not read(file).blocks
    (tmp_path / "no.pt").write_bytes(b"nothing")
    assert read(tmp_path / "no.pt").unknown


def test_more_than_a_header_holds_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "MOST", 3)
    header = Provenance(({"image": torch.arange(4)},), unknown=("a",)).header()
    assert read(written(tmp_path / "w.safetensors", header)).unknown == (
        "a",
        "a run that read 4 examples, too many for a header",
    )


@pytest.mark.parametrize("measured", [False, True])
def test_a_task_is_not_measured_on_what_weights_have_learned(measured):
    """Of a target of episodes all rows are measured, those for training too."""
    content = digests_of(blobs(classes=3, per_class=80), "image")
    task = TaskSource("blobs", "target", lambda: blobs(classes=3, per_class=80), {"n": 80}, TaskOptions(), measured=measured)
    plain = rows(task, 0)

    def knowing(index):
        return TaskSource(
            "blobs", "target", task.load, {"n": 80}, TaskOptions(), measured=measured,
            learned=Provenance(({"image": content[index]},), file="w.safetensors"),
        )  # fmt: skip

    if measured:
        with pytest.raises(
            Problem, match=f"w.safetensors has learned from {len(plain.train)} of the 240 examples of the target, all"
        ):
            rows(knowing(plain.train), 0)
        found = rows(knowing(plain.train[:2]), 0)
        assert found.learned == 2 and found.left_out.tolist() == plain.train[:2].tolist()
        assert found.train.tolist() == plain.train[2:].tolist()
        return
    assert rows(knowing(plain.train), 0).test.tolist() == plain.test.tolist()
    with pytest.raises(Problem, match="w.safetensors has learned from 2 of the 48 test examples of the target, whatever"):
        rows(knowing(plain.test[:2]), 0)
