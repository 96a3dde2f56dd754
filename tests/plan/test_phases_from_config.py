"""Phases from their configuration: what is one run by its digest is one run by its phases."""

from xlearn.config.compose import choices, complete, composed, register
from xlearn.plan.build import build


def test_augmentations_go_in_the_order_of_their_names():
    register([])
    folders, phases = set(), []
    for word in ("augment=[rotate,crop,flip]", "augment=[flip,rotate,crop]"):
        config = composed([word], [])
        folders.add(config.hydra.run.dir)
        phases.append(build({**complete(config), "choices": choices(config.hydra)}).transfer[0])
    assert len(folders) == 1
    assert [[each.func.__name__ for each in phase.augment] for phase in phases] == [["crop", "flip", "rotate"]] * 2
    assert phases[0].document == phases[1].document
