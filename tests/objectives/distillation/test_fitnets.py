"""FitNets: hints are a mean squared error, between maps by a 1x1 convolution."""

import torch
from torchdistill.losses.mid_level import SimpleLossWrapper
from toys.networks import pair_network
from toys.tasks import pair_batch
from toys.teachers import SEEN, inputs_of, student_and_teacher, taught_context, two_sides

from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.match import pooled


def test_fitnets_is_a_mean_squared_error():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    objective = FitNets(taught_context(student, teacher), weight=3.0)
    made, taught = objective.regressor(student.features(some_of)), teacher.features(some_of)
    place = {"module_path": "s", "io": "output", "is_from_teacher": False}
    theirs = SimpleLossWrapper(torch.nn.MSELoss(), input=place, target={**place, "module_path": "t", "is_from_teacher": True})
    expected = theirs(*two_sides(made[SEEN], taught[SEEN]), None)
    torch.testing.assert_close(objective(student, {"target": some_of})["target_fitnets"], 3 * expected)


def test_a_hint_between_maps_is_a_1x1_convolution():
    student, teacher, context, batches = student_and_teacher("cnn", "wide", inputs_of("image"))
    objective = FitNets(context, weight=1.0, student="encoder.image.blocks.0", teacher="encoder.image.blocks.1")
    [loss] = objective(student, batches).values()
    images = student.encoder["image"].pixels(batches["target"].inputs["image"])
    own = student.encoder["image"].blocks[0](images)
    taught = teacher.encoder["image"].blocks[1](teacher.encoder["image"].blocks[0](images))
    own, taught = pooled(own, taught)
    mapped = torch.nn.functional.conv2d(own, objective.regressor.weight[:, :, None, None], objective.regressor.bias)
    torch.testing.assert_close(loss, (mapped - taught).square().mean())
