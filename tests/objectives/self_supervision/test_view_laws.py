"""What holds for every objective that compares two views of an example."""

import pytest
from toys.laws import (
    begins_by_the_network,
    file_says_the_defaults,
    goes_on_bit_identically,
    needs_two_and_trains_no_head,
    roles_do_not_mix,
    stays_precise,
    views_are_alike,
)

from xlearn.objectives.self_supervision.barlow_twins import BarlowTwins
from xlearn.objectives.self_supervision.byol import Byol
from xlearn.objectives.self_supervision.moco import MoCo
from xlearn.objectives.self_supervision.simclr import SimClr
from xlearn.objectives.self_supervision.supcon import SupCon
from xlearn.objectives.self_supervision.vicreg import VicReg

WITHOUT_LABELS = {"simclr": SimClr, "byol": Byol, "moco": MoCo, "barlow_twins": BarlowTwins, "vicreg": VicReg}
ALL = pytest.mark.parametrize(("made", "labels"), [*((made, False) for made in WITHOUT_LABELS.values()), (SupCon, True)])


@ALL
def test_an_interrupted_phase_goes_on_bit_identically(made, labels):
    goes_on_bit_identically(made, labels)


@pytest.mark.parametrize(("name", "made"), WITHOUT_LABELS.items())
def test_roles_do_not_mix(name, made):
    roles_do_not_mix(made, name)


@pytest.mark.parametrize(("name", "made"), WITHOUT_LABELS.items())
def test_files_say_the_defaults(name, made):
    file_says_the_defaults(name, made)


def test_the_file_of_supcon_says_the_defaults():
    file_says_the_defaults("supcon", SupCon, "contrast")


@pytest.mark.parametrize(
    ("made", "labels"), [(SimClr, False), (Byol, False), (BarlowTwins, False), (VicReg, False), (SupCon, True)]
)
def test_which_view_comes_first_does_not_matter(made, labels):
    """But to MoCo, whose first view asks and whose second is found."""
    views_are_alike(made, labels)


@ALL
def test_losses_stay_in_single_precision(made, labels):
    stays_precise(made, labels)


@ALL
def test_projectors_begin_by_what_the_network_is(made, labels):
    begins_by_the_network(made, labels)


@ALL
def test_two_examples_are_enough_and_no_head_is_trained(made, labels):
    needs_two_and_trains_no_head(made, labels)
