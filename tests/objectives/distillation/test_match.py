"""What is compared of student and teacher: pooling to what is smaller, and examples that count."""

import torch
from torch.nn import functional
from toys.tasks import draw
from toys.teachers import inputs_of, student_and_teacher

from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.match import pooled


def test_pooling_is_to_the_smaller_along_each_axis():
    one, other = pooled(draw(2, 3, 8, 2), draw(2, 5, 4, 6, seed=1))
    assert (one.shape, other.shape) == ((2, 3, 4, 2), (2, 5, 4, 2))
    torch.testing.assert_close(one, functional.avg_pool2d(draw(2, 3, 8, 2), (2, 1)))
    assert pooled(draw(2, 3, 7), draw(2, 5, 4))[0].shape == (2, 3, 4)


def test_what_lacks_the_modality_of_a_module_does_not_count():
    there = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0]).bool()
    student, _, context, batches = student_and_teacher("cnn+lstm", "wide+lstm", inputs_of("image", "text", image=there))
    options = {"student": "encoder.image.blocks.0", "teacher": "encoder.image.blocks.1"}
    found = FitNets(context, **options)(student, batches)
    seen = {"target": inputs_of("image", "text").take(there.nonzero().flatten())}
    torch.testing.assert_close(found, FitNets(context, **options)(student, seen))
    # Below the heads the teacher sees every example, by its text.
    [(_, _, counted)] = FitNets(context).match(student, batches["target"])
    assert counted.all()
