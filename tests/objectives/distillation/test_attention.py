"""Attention transfer: maps by hand and as torchdistill has them, and which blocks are paired."""

import math

import pytest
import torch
from torch.nn import functional
from torchdistill.losses.mid_level import ATLoss
from toys.tasks import draw
from toys.teachers import inputs_of, student_and_teacher, two_sides

from xlearn.objectives.distillation.attention import Attention, apart


def test_attention_by_hand():
    # Q_s = (9, 16) / 25, and 3-4-5 once more after the mean over channels; Q_t = (1, 0).
    student, teacher = torch.tensor([[[3.0, 4.0], [3.0, 4.0]]]), torch.tensor([[[2.0, 0.0]]])
    length = math.hypot(9, 16)
    expected = ((9 / length - 1) ** 2 + (16 / length) ** 2) / 2
    assert apart(student, teacher).tolist() == pytest.approx([expected])


def test_attention_is_that_of_torchdistill_and_pools_what_is_larger():
    student, teacher = draw(5, 4, 6, 6), draw(5, 7, 6, 6, seed=1)
    pairs = {"l": {"student": {"io": "output", "path": "s"}, "teacher": {"io": "output", "path": "t"}}}
    torch.testing.assert_close(apart(student, teacher).mean(), ATLoss(pairs, mode="code")(*two_sides(student, teacher)))
    large = draw(5, 7, 12, 6, seed=2)
    halved = functional.avg_pool2d(large.square().mean(1, keepdim=True), (2, 1)).sqrt()
    torch.testing.assert_close(apart(student, large), apart(student, halved))


def test_attention_pairs_blocks_from_the_top_downwards():
    _, _, context, _ = student_and_teacher("wide", "cnn", inputs_of("image"))
    # After the activation. Blocks 1 and 2 of `wide` give maps of a single place.
    assert Attention(context).match.pairs == [("encoder.image.blocks.0", "encoder.image.blocks.1")]
    student, teacher, context, batches = student_and_teacher("lstm", "transformer", inputs_of("text"))
    objective = Attention(context, weight=2.0)
    # The last block ends with the normalisation; an LSTM's layer gives its states first.
    assert objective.match.pairs[0] == ("encoder.text.layers.1", "encoder.text.norm") and len(objective.match.pairs) == 3
    heard = [student.outputs(batches["target"]), teacher.outputs(batches["target"])]
    terms = []
    for paths in objective.match.pairs:
        own, taught = (each[path] for each, path in zip(heard, paths, strict=True))
        own = own[0] if isinstance(own, tuple) else own
        terms.append(apart(own.transpose(1, 2), taught.transpose(1, 2)).mean())
    torch.testing.assert_close(objective(student, batches)["target_attention"], 2 * sum(terms))
