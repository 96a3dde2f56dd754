"""Metrics against torchmetrics, scikit-learn and worked cases."""

import warnings

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torch.nn import functional

from xlearn.metrics import measure as module
from xlearn.metrics.measure import calibration_error, measure, measure_reduced, reduced, scalars, score
from xlearn.runtime.names import HIGHER_IS_BETTER

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchmetrics imports what others deprecate
    from torchmetrics.functional import classification


def drawn(seed: int, count: int, classes: int, absent: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    if absent is not None:
        labels[labels == absent] = (absent + 1) % classes
    logits = torch.randn(count, classes, generator=generator) * 2
    logits[torch.arange(count), labels] += 1.5
    return logits, labels


@given(st.integers(0, 10**6), st.integers(1, 200), st.integers(2, 7), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_number_is_that_of_torchmetrics_and_sklearn(seed, count, classes, absent):
    logits, labels = drawn(seed, count, classes, absent=0 if absent else None)
    names = [f"c{number}" for number in range(classes)]
    found = measure(logits, labels, names)
    predicted, every = logits.argmax(1), list(range(classes))
    options = {"num_classes": classes}
    probabilities = logits.softmax(1)
    true, guess = labels.numpy(), predicted.numpy()
    macro = {"average": "macro", "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = sklearn_metrics.balanced_accuracy_score(true, guess)
    expected = {
        "accuracy": float(classification.multiclass_accuracy(logits, labels, average="micro", **options)),
        "balanced_accuracy": balanced,
        "worst_class": sklearn_metrics.recall_score(true, guess, labels=numpy.unique(true), average=None).min(),
        "macro_precision": sklearn_metrics.precision_score(true, guess, **macro),
        "macro_recall": sklearn_metrics.recall_score(true, guess, **macro),
        "macro_f1": sklearn_metrics.f1_score(true, guess, **macro),
        "nll": sklearn_metrics.log_loss(true, logits.double().softmax(1).numpy(), labels=every),
        "calibration_error": float(
            classification.multiclass_calibration_error(probabilities, labels, n_bins=15, norm="l1", **options)
        ),
    }
    assert set(expected) == HIGHER_IS_BETTER.keys() - {"mse"} == set(scalars(found))  # mse is of numbers, not of classes
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name
        # What selects while training is what is reported at the end.
        assert score(name, logits, labels) == pytest.approx(found[name], abs=1e-12), name
    confusion = classification.multiclass_confusion_matrix(logits, labels, **options)
    assert found["confusion_matrix"] == confusion.tolist()
    recall = classification.multiclass_recall(logits, labels, average="none", **options)
    precision = classification.multiclass_precision(logits, labels, average="none", **options)
    f1 = classification.multiclass_f1_score(logits, labels, average="none", **options)
    for position, name in enumerate(names):
        row = found["per_class"][name]
        assert row["recall"] == pytest.approx(float(recall[position]), abs=1e-6)
        assert row["precision"] == pytest.approx(float(precision[position]), abs=1e-6)
        assert row["f1"] == pytest.approx(float(f1[position]), abs=1e-6)
        assert row["examples"] == int((labels == position).sum())


def test_a_class_absent_from_the_test_split():
    logits = torch.eye(3)[[0, 1, 1, 2]]
    labels = torch.tensor([0, 1, 1, 1])
    found = measure(logits, labels, ["a", "b", "c"])
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 0}
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)  # over the two classes that occur
    assert found["macro_recall"] == pytest.approx((1 + 2 / 3 + 0) / 3)  # over all three: c is predicted
    assert found["macro_precision"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["confusion_matrix"] == [[1, 0, 0], [0, 2, 1], [0, 0, 0]]


def test_a_class_that_neither_occurs_nor_is_predicted_counts_the_same_in_selection_and_report():
    logits, labels = torch.eye(4)[[0, 1, 0]], torch.tensor([0, 1, 1])
    for name in ("macro_precision", "macro_recall", "macro_f1"):
        assert score(name, logits, labels) == pytest.approx(measure(logits, labels, list("abcd"))[name])
    assert score("macro_recall", logits, labels) == pytest.approx((1 + 0.5) / 2)


def test_a_perfect_classifier_has_a_macro_f1_of_1_whatever_classes_lack_examples():
    labels = torch.tensor([0, 1, 1])
    found = measure(torch.eye(4)[labels], labels, list("abcd"))
    for name in ("accuracy", "balanced_accuracy", "worst_class", "macro_precision", "macro_recall", "macro_f1"):
        assert found[name] == 1.0, name
    assert found["per_class"]["d"]["examples"] == 0


def error(probabilities: torch.Tensor, labels: list[int]) -> float:
    confidence, predicted = probabilities.double().max(1)
    return calibration_error(confidence, predicted == torch.tensor(labels))


def test_calibration_error_of_a_worked_case():
    # Bin (9/15, 10/15] holds confidences 0.62 and 0.66, one of them right: |0.5 - 0.64| x 2/4.
    # Bin (13/15, 14/15] holds 0.90 twice, both right: |1 - 0.9| x 2/4.
    confidence = torch.tensor([0.62, 0.66, 0.90, 0.90], dtype=torch.float64)
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    assert error(probabilities, [0, 1, 0, 0]) == pytest.approx(0.5 * 0.14 + 0.5 * 0.10, abs=1e-12)


def test_calibration_error_at_the_ends():
    sure = torch.eye(2)
    assert error(sure, [0, 1]) == 0.0
    assert error(sure, [1, 0]) == 1.0
    assert error(torch.full((4, 2), 0.5), [0, 1, 0, 1]) == pytest.approx(0.0)


def test_nll_by_hand():
    logits = torch.tensor([[0.0, numpy.log(3.0)]])
    assert score("nll", logits, torch.tensor([1])) == pytest.approx(-numpy.log(0.75))


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_the_worst_class_is_the_lowest_recall_of_those_that_occur(seed, count, classes):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + functional.one_hot(labels, classes)
    true, guess = labels.numpy(), logits.argmax(1).numpy()
    expected = sklearn_metrics.recall_score(true, guess, labels=numpy.unique(true), average=None).min()
    assert score("worst_class", logits, labels) == pytest.approx(expected)
    assert measure(logits, labels, [str(each) for each in range(classes)])["worst_class"] == pytest.approx(expected)


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 9), st.integers(1, 100))
@settings(max_examples=25, deadline=None)
def test_blocks_of_rows_have_the_numbers_of_the_whole(seed, count, classes, block):
    logits, labels = drawn(seed, count, classes)
    names = [f"c{number}" for number in range(classes)]
    whole = measure(logits, labels, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        assert measure(logits, labels, names) == whole
    probabilities = logits.double().softmax(1)
    found = reduced(logits, labels)
    assert torch.equal(found["predicted"], logits.argmax(1))
    torch.testing.assert_close(found["confidence"], probabilities.amax(1), rtol=1e-5, atol=0)
    torch.testing.assert_close(found["log_probability"], probabilities[torch.arange(count), labels].log())


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_one_row_for_all_examples_has_the_numbers_of_its_copies(seed, count, classes):
    logits, labels = drawn(seed, count, classes)
    names = [f"c{number}" for number in range(classes)]
    row = logits[:1].expand(count, -1)
    assert measure(row, labels, names) == measure(row.contiguous(), labels, names)


@pytest.mark.parametrize(
    ("classes", "lacking"),
    [(100, set()), (101, {"confusion_matrix"}), (1000, {"confusion_matrix"}), (1001, {"confusion_matrix", "per_class"})],
)
def test_what_grows_with_the_classes_is_kept_for_few(classes, lacking):
    logits, labels = drawn(0, 30, classes)
    found = measure(logits, labels, [f"c{number}" for number in range(classes)])
    assert {"confusion_matrix", "per_class"} - found.keys() == lacking
    assert scalars(found).keys() == scalars(measure(*drawn(0, 30, 3), list("abc"))).keys()


def test_a_hundred_thousand_classes_make_no_matrix_of_them():
    """The matrix would be 80 GB. One in four is right: macro averages count 100 classes that occur and 75 predicted."""
    labels = torch.arange(0, 100_000, 1000)
    predicted = torch.where(torch.arange(100) % 4 == 0, labels, labels + 1)
    given = {
        "predicted": predicted,
        "confidence": torch.full((100,), 0.5, dtype=torch.float64),
        "log_probability": torch.full((100,), -2.0, dtype=torch.float64),
    }
    found = measure_reduced(given, labels, [""] * 100_000)
    expected = {"accuracy": 0.25, "balanced_accuracy": 0.25, "worst_class": 0, "nll": 2, "calibration_error": 0.25}
    assert found == pytest.approx(expected | dict.fromkeys(("macro_precision", "macro_recall", "macro_f1"), 25 / 175))
