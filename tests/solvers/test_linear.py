"""Closed forms on frozen features: against scipy, scikit-learn and skada, and by what they promise."""

import importlib
import warnings
from dataclasses import replace

import numpy
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import domain_tasks

from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import tensors
from xlearn.solvers.classifier import classifier
from xlearn.solvers.coral_features import CoralFeatures, coral
from xlearn.solvers.subspace_alignment import SubspaceAlignment
from xlearn.solvers.tca import Tca, transfer_components


def domains(source=60, target=60, width=5):
    """Features of two domains that differ in mean, scale and orientation."""
    generator = torch.Generator().manual_seed(3)
    made = [torch.randn(count, width, generator=generator, dtype=torch.float64) for count in (source, target)]
    turns = [torch.randn(width, width, generator=generator, dtype=torch.float64) for _ in made]
    return made[0] @ turns[0] + 2, made[1] @ turns[1] - 1


def skada(name):
    pytest.importorskip("skada")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module("skada"), name)


def both(source, target):
    return torch.cat([source, target]).numpy(), numpy.array([1] * len(source) + [-2] * len(target))


def solved(solver, shots=0, **options):
    """(the tasks, features by role, weights before, the network after its solver)."""
    tasks = domain_tasks(shots=shots)
    network = image_network(tasks["source"].train)
    found = {role: features(network, task.train, CPU).double() for role, task in tasks.items()}
    before = tensors(network)
    assert solver(network, tasks, **options)(CPU) == {}
    moved = {name for name, value in tensors(network).items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("head.") for name in moved)
    return tasks, found, network


def regression(given, labels, strength=1.0):
    """(scikit-learn's model, the scale of its inputs)."""
    scale = float((given**2).mean() ** 0.5)
    return LogisticRegression(C=strength, max_iter=2000).fit(given / scale, labels), scale


def close(found, expected, tolerance=1e-4):
    torch.testing.assert_close(torch.as_tensor(found).double(), torch.as_tensor(expected).double(), rtol=1e-4, atol=tolerance)


def test_an_aligned_source_has_the_target_s_mean_and_covariance():
    source, target = domains(60, 45)
    aligned = coral(source, target, 1e-10)
    close(aligned.mean(0), target.mean(0), 1e-8)
    close(aligned.T.cov(), target.T.cov(), 1e-6)
    # A ridge keeps a part of the source's form, and the mean is exact all the same.
    aligned = coral(source, target, 2.0)
    close(aligned.mean(0), target.mean(0), 1e-8)
    ridged = [each.T.cov().numpy() + 2 * numpy.eye(5) for each in (source, target)]
    way = numpy.linalg.inv(scipy.linalg.sqrtm(ridged[0])) @ scipy.linalg.sqrtm(ridged[1])
    close(aligned, (source - source.mean(0)).numpy() @ way + target.mean(0).numpy(), 1e-8)
    assert (aligned.T.cov() - target.T.cov()).abs().max() > 0.1


def test_fewer_examples_than_features_need_a_ridge():
    source, target = domains(4, 3, width=8)
    aligned = coral(source, target, 1.0)
    assert aligned.isfinite().all() and aligned.abs().max() < 50


def test_coral_is_skada_s():
    source, target = domains()  # as many of each: skada divides by n
    adapter = skada("CORALAdapter")(reg=None)
    found = adapter.fit_transform(*both(source, target)[:1], sample_domain=both(source, target)[1])
    close(coral(source, target, 1e-12) - target.mean(0), found[:60], 1e-6)


@pytest.mark.parametrize("shots", [0, 4])
def test_the_head_of_coral_features_is_learned_on_aligned_features(shots):
    tasks, found, network = solved(CoralFeatures, shots, ridge=0.5, strength=3.0)
    aligned, labels = coral(found["source"], found["unlabeled"], 0.5), tasks["source"].train.labels
    if shots:
        aligned, labels = torch.cat([aligned, found["target"]]), torch.cat([labels, tasks["target"].train.labels])
    model, scale = regression(aligned.numpy(), labels.numpy(), 3.0)
    expected = model.decision_function(found["unlabeled"].numpy() / scale)
    close(logits(network, tasks["unlabeled"].train, CPU), expected)


@pytest.mark.parametrize("shots", [0, 4])
def test_subspace_alignment_is_that_of_principal_components(shots):
    tasks, found, network = solved(SubspaceAlignment, shots, components=3, strength=2.0)
    source, target = (PCA(3, svd_solver="full").fit(found[role].numpy()) for role in ("source", "unlabeled"))
    aligned = source.transform(found["source"].numpy()) @ (source.components_ @ target.components_.T)
    labels = tasks["source"].train.labels
    if shots:
        aligned = numpy.concatenate([aligned, target.transform(found["target"].numpy())])
        labels = torch.cat([labels, tasks["target"].train.labels])
    model, scale = regression(aligned, labels.numpy(), 2.0)
    expected = model.decision_function(target.transform(found["unlabeled"].numpy()) / scale)
    close(logits(network, tasks["unlabeled"].train, CPU), expected)


def test_subspace_alignment_is_skada_s():
    tasks, found, network = solved(SubspaceAlignment, components=3)
    given, domain = both(found["source"], found["unlabeled"])
    moved = skada("SubspaceAlignmentAdapter")(n_components=3).fit_transform(given, sample_domain=domain)
    count = len(found["source"])
    model, scale = regression(moved[:count], tasks["source"].train.labels.numpy())
    close(logits(network, tasks["unlabeled"].train, CPU), model.decision_function(moved[count:] / scale))


def components_of_all(source, target, components, mu):
    """Of the n x n problem with the kernel of all examples: `X^T W`, by size of the eigenvalues, `W^T (K L K + mu I) W = 1`."""
    every = numpy.concatenate([source, target])
    every = every / (every**2).sum(1).mean() ** 0.5
    count = len(every)
    e = numpy.concatenate([numpy.full(len(source), 1 / len(source)), numpy.full(len(target), -1 / len(target))])
    kernel, centring = every @ every.T, numpy.eye(count) - 1 / count
    between = kernel @ numpy.outer(e, e) @ kernel + mu * numpy.eye(count)
    within = kernel @ centring @ kernel
    values, vectors = scipy.linalg.eig(numpy.linalg.inv(between) @ within)
    order = values.real.argsort()[::-1][:components]
    chosen = vectors[:, order].real
    chosen = chosen / numpy.sqrt(numpy.einsum("ik,ij,jk->k", chosen, between, chosen))
    return every.T @ chosen, values.real[order]


@pytest.mark.parametrize(("source", "target", "mu"), [(30, 20, 1.0), (12, 25, 1e-3), (4, 3, 0.1)])
def test_transfer_components_are_those_of_the_whole_kernel(source, target, mu):
    given = domains(source, target)
    expected, values = components_of_all(*(each.numpy() for each in given), 3, mu)
    assert values[2] > 1e-9 and (values[:2] / values[1:]).min() > 1.01  # told apart
    found = transfer_components(*given, 3, mu).numpy()
    signs = numpy.sign((found * expected).sum(0))
    close(found * signs, expected, 1e-7)


def test_transfer_components_bring_the_means_together_and_not_the_examples():
    source, target = domains()
    axes = transfer_components(source, target + 30, 3, 1e-6)
    one, other = source @ axes, (target + 30) @ axes
    spread = torch.cat([one - one.mean(0), other - other.mean(0)]).std()
    assert (one.mean(0) - other.mean(0)).abs().max() < 0.01 * spread
    plain = ((source.mean(0) - target.mean(0) - 30).abs() / torch.cat([source, target]).std()).max()
    assert plain > 1


@pytest.mark.parametrize("shots", [0, 4])
def test_the_head_of_tca_reads_components(shots):
    tasks, found, network = solved(Tca, shots, components=3, mu=0.5)
    axes, _ = components_of_all(found["source"].numpy(), found["unlabeled"].numpy(), 3, 0.5)
    given, labels = found["source"], tasks["source"].train.labels
    if shots:
        given, labels = torch.cat([given, found["target"]]), torch.cat([labels, tasks["target"].train.labels])
    model, scale = regression(given.numpy() @ axes, labels.numpy())
    close(logits(network, tasks["unlabeled"].train, CPU), model.decision_function(found["unlabeled"].numpy() @ axes / scale))


def labelled(there, count=90):
    source, _ = domains(count)
    labels = torch.tensor(there)[torch.arange(count) % len(there)]
    return source + 3 * torch.nn.functional.one_hot(labels, 5).double(), labels


@pytest.mark.parametrize("there", [[0, 1, 2], [0, 1], [0, 2, 3], [3, 1]])
def test_the_classifier_is_scikit_learn_s(there):
    """All classes, two, some of four, and two of four."""
    classes = 4 if 3 in there else len(there)
    given, labels = labelled(there)
    weight, bias = classifier(given, labels, classes, 0.7)
    assert weight.shape == (classes, 5) and bias.shape == (classes,)
    model, scale = regression(given.numpy(), labels.numpy(), 0.7)
    shares = (given @ weight.T + bias).softmax(1)
    expected = torch.zeros(len(given), classes, dtype=torch.float64)
    expected[:, model.classes_] = torch.tensor(model.predict_proba(given.numpy() / scale))
    close(shares, expected, 1e-9)
    missing = [each for each in range(classes) if each not in there]
    assert (shares[:, missing] == 0).all()


def test_the_classifier_is_at_the_minimum_that_it_names():
    """The derivative of `sum_i -log p_{y_i} + 1 / (2 strength) ||W||^2`, of features of mean square 1, is 0."""
    given, labels = labelled([0, 1, 2])
    scale = given.square().mean().sqrt()
    weight, bias = (each.clone() for each in classifier(given, labels, 3, 0.7))
    weight = (weight * scale).requires_grad_(True)
    bias.requires_grad_(True)
    risk = torch.nn.functional.cross_entropy(given / scale @ weight.T + bias, labels, reduction="sum")
    (risk + weight.square().sum() / (2 * 0.7)).backward()
    assert float(weight.grad.abs().max()) < 0.02 and float(bias.grad.abs().max()) < 0.02
    # With features a hundred times as large it says the same.
    again = classifier(100 * given, labels, 3, 0.7)
    close(100 * given @ again[0].T + again[1], given @ (weight / scale).detach().T + bias.detach(), 1e-3)


def test_several_sources_count_as_one():
    tasks = domain_tasks()
    half = torch.arange(24)
    parts = {
        f"part{number}": replace(tasks["source"], train=tasks["source"].train.subset(half + 24 * number)) for number in (0, 1)
    }
    found = []
    for sources in ({"source": tasks["source"]}, parts):
        network = image_network(tasks["source"].train)
        CoralFeatures(network, {**sources, "unlabeled": tasks["unlabeled"]})(CPU)
        found.append(tensors(network))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
