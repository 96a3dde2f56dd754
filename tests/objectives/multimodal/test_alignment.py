"""CLIP and SigLIP: contrastive alignment by hand and as open_clip has it, and which pairs count."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.nn import functional
from toys.contexts import bare_context
from toys.networks import pair_network
from toys.tasks import pair_batch

from xlearn.objectives.multimodal.alignment import pairs
from xlearn.objectives.multimodal.clip import Clip, info_nce
from xlearn.objectives.multimodal.siglip import SigLip, sigmoid_loss
from xlearn.runtime.errors import Problem


def test_clip_of_two_pairs_by_hand():
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    other = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    # similarities times 2: rows [1.2, 0] and [1.6, 2]
    rows = (math.log(1 + math.exp(-1.2)) + math.log(1 + math.exp(1.6 - 2))) / 2
    columns = (math.log(1 + math.exp(1.6 - 1.2)) + math.log(1 + math.exp(0 - 2))) / 2
    assert float(info_nce(one, other, torch.tensor(2.0))) == pytest.approx((rows + columns) / 2)
    siglip = [1.2 - 1, -(0 - 1), -(1.6 - 1), 2 - 1]
    expected = sum(math.log(1 + math.exp(-each)) for each in siglip) / 2
    assert float(sigmoid_loss(one, other, torch.tensor(2.0), torch.tensor(-1.0))) == pytest.approx(expected, rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(some.integers(2, 9), some.floats(1, 100), some.integers(0, 999))
def test_clip_is_open_clip_s_formula(count, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    image, text = (functional.normalize(torch.randn(count, 5, generator=generator), dim=-1) for _ in range(2))
    per_image, per_text = scale * image @ text.T, scale * text @ image.T
    labels = torch.arange(count)
    expected = (functional.cross_entropy(per_image, labels) + functional.cross_entropy(per_text, labels)) / 2
    torch.testing.assert_close(info_nce(image, text, torch.tensor(scale)), expected)
    # open_clip's SigLipLoss: labels 2 I - 1, -logsigmoid summed, over the number of images
    logits = scale * image @ text.T - 10
    expected = -functional.logsigmoid((2 * torch.eye(count) - 1) * logits).sum() / count
    torch.testing.assert_close(sigmoid_loss(image, text, torch.tensor(scale), torch.tensor(-10.0)), expected)


def test_embeddings_are_unit_vectors_of_single_modalities():
    net, given = pair_network(), pair_batch()
    [(name, one, other)] = pairs(net, {"source": given})
    assert name == "source_image_tabular"
    for found, modality in ((one, "image"), (other, "tabular")):
        torch.testing.assert_close(found.norm(dim=1), torch.ones(6))
        torch.testing.assert_close(found, functional.normalize(net.features(given.only(modality)), dim=1))


def test_only_examples_with_both_count():
    net = pair_network()
    here, there = torch.tensor([1, 1, 0, 1, 1, 0]).bool(), torch.tensor([1, 0, 1, 1, 1, 0]).bool()
    [(_, one, other)] = pairs(net, {"source": pair_batch(image=here, tabular=there)})
    [(_, whole, _)] = pairs(net, {"source": pair_batch()})
    torch.testing.assert_close(one, whole[[0, 3, 4]])
    assert len(other) == 3


@pytest.mark.parametrize("kind", [Clip, SigLip])
@pytest.mark.parametrize("both", [0, 1])
def test_batches_without_pairs_have_a_finite_loss(kind, both):
    net = pair_network()
    objective = kind(bare_context(net))
    there = torch.arange(6) < both
    [loss] = objective(net, {"source": pair_batch(tabular=there)}).values()
    loss.backward()
    assert loss.isfinite() and all(each.grad is None or each.grad.isfinite().all() for each in net.parameters())
    if both == 0 or kind is Clip:
        assert loss.detach() == 0


@pytest.mark.parametrize(("kind", "begin"), [(partial(Clip, temperature=0.07), 1 / 0.07), (SigLip, 10.0)])
def test_the_scale_is_learned_and_comes_back_from_its_highest(kind, begin):
    net = pair_network()
    objective = kind(bare_context(net), highest=20.0)
    assert float(objective.log_scale.detach().exp()) == pytest.approx(begin)
    assert dict(objective.named_parameters())["log_scale"] is objective.log_scale
    with torch.no_grad():
        objective.log_scale.add_(5)  # an optimizer's step beyond it
    objective.follow(net)
    assert float(objective.log_scale.detach().exp()) == pytest.approx(20.0)
    sum(objective(net, {"source": pair_batch()}).values()).backward()
    assert objective.log_scale.grad != 0  # at the limit the gradient is alive
    with torch.no_grad():
        objective.log_scale.sub_(1)
    objective.follow(net)
    assert float(objective.log_scale.detach().exp()) == pytest.approx(20 / math.e, rel=1e-5)


def test_temperatures_out_of_range_are_told():
    for options in ({"temperature": 0.0}, {"temperature": 0.001}, {"temperature": 0.1, "highest": 5.0}):
        with pytest.raises(Problem, match="temperature="):
            Clip(bare_context(pair_network()), **options)
    with pytest.raises(Problem, match="scale=200"):
        SigLip(bare_context(pair_network()), scale=200.0)
    net = pair_network()
    with pytest.raises(Problem, match="only the modality image"):
        list(pairs(net, {"source": pair_batch().only("image")}))
