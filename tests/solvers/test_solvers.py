"""Statistics of normalisations and shares of classes that are the target's, and what solvers refuse."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import blobs, domain_tasks, image_task, random_images

from xlearn.data.unlabeled import UNLABELED, hidden
from xlearn.fusion.concat import Concat
from xlearn.networks import statistics
from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import Network, Tokens, tensors
from xlearn.runtime.errors import Problem
from xlearn.solvers.adabn import AdaBN
from xlearn.solvers.bbse import LEAST, Bbse, shift
from xlearn.solvers.classifier import classifier, set_head
from xlearn.solvers.coral_features import CoralFeatures
from xlearn.solvers.subspace_alignment import SubspaceAlignment
from xlearn.solvers.tca import Tca


class Plain(nn.Module):
    """Pixels, one linear layer, and after it what is given."""

    def __init__(self, *after):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(36, 8), *after)
        self.width = 8

    def forward(self, images):
        return Tokens(self.layers(images.flatten(1).float() / 255).unsqueeze(1))


def normalised(examples, *after):
    """A network that normalises; its statistics are of nothing."""
    torch.manual_seed(2)
    encoder = Plain(nn.BatchNorm1d(8), *after)
    return Network({"image": encoder}, Concat({"image": 8}), {examples.space.key: nn.Linear(8, 3)})


def pixels(examples):
    return examples.inputs["image"].flatten(1).float() / 255


def test_the_statistics_are_those_of_the_target_by_hand():
    given = domain_tasks(100)
    network = normalised(given["source"].train, nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8))
    layers = network.encoder["image"].layers
    before = tensors(network)
    assert AdaBN(network, given)(CPU) == {"normalisations": 2}
    x = pixels(given[UNLABELED].train) @ layers[0].weight.T + layers[0].bias
    torch.testing.assert_close(layers[1].running_mean, x.mean(0))
    torch.testing.assert_close(layers[1].running_var, x.var(0))
    # The next is of what comes out where the first normalises by the statistics of its batch.
    x = (x - x.mean(0)) / (x.var(0, correction=0) + layers[1].eps).sqrt() * layers[1].weight + layers[1].bias
    x = x.relu() @ layers[3].weight.T + layers[3].bias
    torch.testing.assert_close(layers[4].running_mean, x.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layers[4].running_var, x.var(0), rtol=1e-4, atol=1e-5)
    changed = {name for name, value in tensors(network).items() if not torch.equal(value, before[name])}
    assert {name.rpartition(".")[2] for name in changed} == {"running_mean", "running_var"}
    assert [layers[place].momentum for place in (1, 4)] == [0.1, 0.1]
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("parts", [1, 3])
def test_moments_of_sorted_rows_are_pooled(monkeypatch, parts):
    """Sorted by class, a part of the rows has another mean than the rest: the variance between parts counts too."""
    given = domain_tasks(300)
    network = normalised(given["source"].train)
    layers = network.encoder["image"].layers
    examples = given[UNLABELED].train
    monkeypatch.setattr(statistics, "LARGEST", 8 * len(examples) // parts)
    monkeypatch.setattr(statistics, "FEWEST", 1)
    x = pixels(examples) @ layers[0].weight.T + layers[0].bias
    for order in (x[:, 0].argsort(), torch.randperm(len(examples))):
        AdaBN(network, {UNLABELED: replace(given[UNLABELED], train=examples.subset(order))})(CPU)
        torch.testing.assert_close(layers[1].running_mean, x.mean(0))
        torch.testing.assert_close(layers[1].running_var, x.var(0))


def test_what_brighter_and_paler_images_lose_comes_back():
    """Behind a linear layer, a normalisation undoes any change of scale and level: predictions become those of the source."""
    data = blobs()
    source = replace(random_images(120), inputs={"image": data.inputs["image"]}, labels=data.labels, task="source")
    source = replace(source, inputs={"image": source.inputs["image"] // 4 * 4})
    paler = replace(source, inputs={"image": source.inputs["image"] // 4 + 180})
    given = {"source": image_task(source), UNLABELED: hidden(image_task(paler, "paler", unlabeled=paler))}
    network = normalised(source)
    AdaBN(network, {UNLABELED: replace(given["source"], train=source)})(CPU)
    set_head(network, given["source"], *classifier(features(network, source, CPU).double(), source.labels, 3, 10.0))
    expected = logits(network, source, CPU)

    def accuracy():
        return float((logits(network, paler, CPU).argmax(1) == paler.labels).float().mean())

    assert float((expected.argmax(1) == source.labels).float().mean()) > 0.95
    assert accuracy() < 0.7
    AdaBN(network, given)(CPU)
    assert accuracy() > 0.95
    torch.testing.assert_close(logits(network, paler, CPU), expected, rtol=0.02, atol=0.05)


# Of 20 examples: predicted (rows) and true (columns).
CONFUSION = [[6, 1, 0], [2, 4, 1], [0, 1, 5]]


def confused(table=CONFUSION):
    found = [(row, column) for row, line in enumerate(table) for column, count in enumerate(line) for _ in range(count)]
    return (torch.tensor(each) for each in zip(*found, strict=True))


def test_the_weights_of_a_made_up_confusion():
    predicted, labels = confused()
    wanted = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    shares = torch.tensor(CONFUSION, dtype=torch.float64) / 20 @ wanted
    torch.testing.assert_close(shift(predicted, labels, shares), wanted)
    # No shift: the source's own shares of predictions.
    own = torch.bincount(predicted).double() / 20
    torch.testing.assert_close(shift(predicted, labels, own), torch.ones(3, dtype=torch.float64))


def test_negative_weights_count_as_none():
    predicted, labels = confused()
    shares = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    exact = torch.linalg.solve(torch.tensor(CONFUSION, dtype=torch.float64) / 20, shares)
    assert exact.min() < 0
    torch.testing.assert_close(shift(predicted, labels, shares), exact.clamp_min(0))


@pytest.mark.parametrize("table", [[[5, 5, 1], [0, 0, 0], [0, 1, 4]], [[4, 4, 0], [2, 2, 0], [0, 0, 4]]])
def test_classes_that_are_not_told_apart_have_no_weights(table):
    """Never predicted; and two that are predicted alike."""
    predicted, labels = confused(table)
    assert shift(predicted, labels, torch.ones(3, dtype=torch.float64) / 3) is None


def shifted(times):
    """A source, and as its target the validation examples themselves, those of class c `times[c]` times."""
    found = domain_tasks(90)
    source = replace(found["source"], val=found["source"].train.subset(torch.arange(60)))
    rows = torch.cat([(source.val.labels == label).nonzero().flatten().repeat(count) for label, count in enumerate(times)])
    target = source.val.subset(rows)
    network = image_network(source.train)
    set_head(network, source, *classifier(features(network, source.val, CPU).double(), source.val.labels, 3, 100.0))
    return network, {"source": source, UNLABELED: hidden(image_task(target, "target", unlabeled=target))}, target


def test_a_known_shift_of_labels_is_recovered_exactly():
    """Where nothing but the shares has changed, they follow from the predictions, however often these are wrong."""
    network, given, target = shifted([1, 2, 7])
    predicted = logits(network, given["source"].val, CPU).argmax(1)
    before = tensors(network)
    found = Bbse(network, given)(CPU)["label_shift"]
    true = torch.bincount(target.labels) / len(target)
    source = torch.bincount(given["source"].val.labels) / len(given["source"].val)
    assert 0.4 < float((predicted == given["source"].val.labels).float().mean()) < 1
    assert found["target"] == pytest.approx(true.tolist())
    assert found["weights"] == pytest.approx((true / source).tolist())
    [head] = [name for name in before if name.startswith("head.") and name.endswith("bias")]
    torch.testing.assert_close(tensors(network)[head] - before[head], (true / source).log(), rtol=1e-4, atol=1e-5)
    assert {name for name, value in tensors(network).items() if not torch.equal(value, before[name])} == {head}


def test_a_class_that_the_target_lacks_becomes_unlikely_and_not_impossible():
    network, given, target = shifted([3, 3, 0])
    before = logits(network, target, CPU)
    found = Bbse(network, given)(CPU)["label_shift"]
    assert found["weights"][2] == pytest.approx(0, abs=1e-9)
    moved = logits(network, target, CPU) - before
    torch.testing.assert_close(moved[:, 2], torch.full((len(target),), LEAST).log())


def test_labels_of_the_target_and_training_examples_are_not_asked():
    network, given, _ = shifted([1, 2, 7])
    wrong = replace(given["source"].train, labels=(given["source"].train.labels + 1) % 3)
    other = {**given, "source": replace(given["source"], train=wrong)}
    one, two = shifted([1, 2, 7])[0], network
    Bbse(one, given)(CPU)
    Bbse(two, other)(CPU)
    assert all(torch.equal(value, tensors(two)[name]) for name, value in tensors(one).items())


def test_a_head_that_tells_classes_apart_by_nothing_stays_as_it_is():
    network, given, _ = shifted([1, 2, 7])
    with torch.no_grad():
        [head] = network.head.values()
        head.bias[1] = -1e6
    before = tensors(network)
    found = Bbse(network, given)(CPU)
    assert found.keys() == {"note"} and "the confusion matrix" in found["note"]
    assert all(torch.equal(value, before[name]) for name, value in tensors(network).items())


@pytest.mark.parametrize("solver", [Tca, SubspaceAlignment])
def test_few_examples_have_few_components(solver):
    """Asked for more, it gives what it gives if asked for as many as there are."""
    tasks = few(few(domain_tasks(), "source", 3), UNLABELED, 3)
    most = {Tca: 5, SubspaceAlignment: 2}[solver]
    found = []
    for components in (8, most):
        network = image_network(tasks["source"].train)
        solver(network, tasks, components=components)(CPU)
        found.append(tensors(network))
    assert all(value.isfinite().all() and torch.equal(value, found[1][name]) for name, value in found[0].items())


def few(tasks, role, count):
    return {**tasks, role: replace(tasks[role], train=tasks[role].train.subset(torch.arange(count)))}


def without_validation(tasks):
    return {**tasks, "source": replace(tasks["source"], val=tasks["source"].val.subset(torch.arange(0)))}


@pytest.mark.parametrize(
    ("solver", "options", "change", "told"),
    [
        (AdaBN, {}, dict, "replaces the statistics of batch normalisation, but the network has none"),
        (Bbse, {}, without_validation, "labels of the source's validation split, but there is none"),
        (CoralFeatures, {"ridge": 0}, dict, "coral_features: ridge=0: give more than 0"),
        (CoralFeatures, {"strength": -1}, dict, "coral_features: strength=-1: give more than 0"),
        (Tca, {"mu": 0}, dict, "tca: mu=0: give more than 0"),
        (Tca, {"components": 9}, dict, "tca: components=9: give 1 to 8, the width of the features"),
        (Tca, {"components": 0}, dict, "tca: components=0: give 1 to 8, the width of the features"),
        (SubspaceAlignment, {"components": 9}, dict, "components=9: give 1 to 8, the width of the features"),
        (SubspaceAlignment, {"components": 0}, dict, "components=0: give 1 to 8, the width of the features"),
        (SubspaceAlignment, {"strength": 0}, dict, "strength=0: give more than 0"),
        (CoralFeatures, {}, lambda each: few(each, UNLABELED, 1), "the unlabelled target has 1 example"),
        (CoralFeatures, {}, lambda each: few(each, "source", 1), "the source has 1 example"),
    ],
)
def test_what_cannot_be_solved_is_told_when_it_is_built(solver, options, change, told):
    tasks = domain_tasks()
    with pytest.raises(Problem, match=told):
        solver(image_network(tasks["source"].train), change(tasks), **options)


def test_one_example_has_no_variance():
    tasks = few(domain_tasks(), UNLABELED, 1)
    with pytest.raises(Problem, match="adabn: 1 unlabelled example"):
        AdaBN(normalised(tasks["source"].train), tasks)
