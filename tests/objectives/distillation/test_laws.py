"""What holds of every way of teaching by one teacher."""

import pytest
import torch
from torch.nn import functional
from toys.networks import pair_network
from toys.tasks import pair_batch
from toys.teachers import SEEN, taught_context

from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.attention import Attention
from xlearn.objectives.distillation.crd import Crd
from xlearn.objectives.distillation.dist import Dist
from xlearn.objectives.distillation.dkd import Dkd
from xlearn.objectives.distillation.fitnets import FitNets
from xlearn.objectives.distillation.rkd import Rkd
from xlearn.runtime.errors import Problem


@pytest.mark.parametrize("kind", [Dkd, Dist])
def test_convention_and_unseen_examples(kind):
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    labels = functional.cross_entropy(student(some_of), some_of.labels)
    terms = []
    for weight in (0.25, 1.0):
        losses = kind(taught_context(student, teacher), weight=weight)(student, {"target": some_of, "other": some_of})
        torch.testing.assert_close(losses["target_labels"], (1 - weight) * labels)
        torch.testing.assert_close(losses["other_teacher"], losses["target_teacher"])
        terms.append(losses["target_teacher"] / weight)
    torch.testing.assert_close(*terms)
    logits, taught = (each(some_of)[SEEN] for each in (student, teacher))
    alone = kind(taught_context(student, teacher))._term(logits, taught[:, None], torch.ones(4, 1).bool(), some_of.labels[SEEN])
    torch.testing.assert_close(terms[1], alone)
    nobody = pair_batch(image=torch.zeros(6).bool(), tabular=torch.zeros(6).bool())
    loss = kind(taught_context(student, teacher))(student, {"target": nobody})["target_teacher"]
    loss.backward()
    assert loss.detach() == 0


@pytest.mark.parametrize("kind", [Dkd, Dist, FitNets, Attention, Rkd, Crd])
def test_one_teacher_and_weights_in_range(kind):
    net = pair_network()
    for teachers, told in (((), "there is none"), ((net, net), "there are 2")):
        with pytest.raises(Problem, match=f"{kind.__name__.lower()} needs one teacher, but {told}"):
            kind(taught_context(net, *teachers))
    options = {
        Dkd: {"temperature": 0.0, "weight": 1.5, "alpha": -1.0, "beta": -1.0},
        Dist: {"temperature": 0.0, "weight": -0.5, "beta": -1.0, "gamma": -1.0},
        FitNets: {"weight": -1.0},
        Attention: {"weight": -1.0},
        Rkd: {"distance": -1.0, "angle": -1.0},
        Crd: {"width": 0, "temperature": 0.0, "weight": -1.0},
    }[kind]
    for name, value in options.items():
        with pytest.raises(Problem, match=f"{kind.__name__.lower()}: {name}={value}"):
            kind(taught_context(net, net), **{name: value})
    with pytest.raises(Problem, match="other has a single class"):
        Dkd(PhaseContext(net, frozenset(), {"other": torch.tensor([4])}, (net,)))
