"""Columns of categories: numbered by the training rows, never averaged, whatever a method does to its inputs."""

import pytest
import torch
from sklearn.preprocessing import OneHotEncoder

from xlearn.data.content import of_word
from xlearn.data.modalities import Pool
from xlearn.data.modalities.pieces import Noise, PieceOptions
from xlearn.data.modalities.tabular import fit
from xlearn.data.task import Batch, TabularSpec, mixed_inputs
from xlearn.data.tasks import Raw
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem

NAN = float("nan")
SPEC = TabularSpec(("a", "b", "city"), "s", (3,))
VALUES = torch.tensor([[0.5, -1.0, 3.0], [NAN, 2.0, 0.0], [1.0, 1.0, NAN]])


def pool(words, numbers=None, train=None, name="toy", order=("city", "n")):
    columns = {
        "city": torch.tensor([NAN if word is None else of_word(word) for word in words], dtype=torch.float64),
        "n": torch.tensor(numbers or [float(row) for row in range(len(words))], dtype=torch.float64),
    }
    raw = Raw(
        {"tabular": torch.stack([columns[name] for name in order], 1)},
        torch.zeros(len(words), dtype=torch.int64), ("x",), "toy", columns=order, categories=("city",),
    )  # fmt: skip
    return Pool(name, raw, "f", torch.arange(len(words)) if train is None else torch.tensor(train))


def test_categories_are_numbered_by_how_frequent_they_are_in_training_rows_of_all_tasks():
    first = pool(["Rome", "Paris", "Rome", "Bonn", None, "Oslo"], train=[0, 1, 2, 4])
    second = pool(["Paris", "Paris", "Lima"], order=("n", "city"), name="other")
    form = fit([first, second], {})
    assert form.spec.columns == ("n", "city") and form.spec.categories == (3,) and form.spec.numbers == 1
    codes, notes = form(first)
    assert codes.dtype == torch.float32 and codes[:, 1].nan_to_num(-1).tolist() == [2, 1, 2, 0, -1, 0]
    assert notes == {"missing_values": 1, "other_categories": {"city": 2}}
    assert form(second)[0][:, 1].tolist() == [1, 1, 3]
    assert form.spec != fit([first], {}).spec != fit([pool(["Rome", "Lyon", "Rome"])], {}).spec


def test_only_the_most_frequent_categories_are_told_apart():
    words = ["a"] * 3 + ["b"] * 2 + ["c", "d"]
    form = fit([given := pool(words)], {"categories": 2})
    codes, notes = form(given)
    assert form.spec.categories == (2,) and codes[:, 1].tolist() == [1, 1, 1, 2, 2, 0, 0]
    assert notes["other_categories"] == {"city": 2}
    for wrong in (0, True, 1.5):
        with pytest.raises(Problem, match="tabular.categories="):
            fit([given], {"categories": wrong})
    with pytest.raises(Problem, match="tabular.categorys: .*'categories'"):
        fit([given], {"categorys": 2})


def test_a_column_that_is_a_number_in_another_task_is_refused():
    number = Raw({"tabular": torch.ones(2, 2)}, torch.zeros(2, dtype=torch.int64), ("x",), "toy", columns=("city", "n"))
    with pytest.raises(Problem, match="city: a category in one of toy and other, and a number in the other"):
        fit([pool(["a", "b"]), Pool("other", number, "g", torch.arange(2))], {})


def test_nothing_averages_categories():
    batch = Batch({"tabular": VALUES}, torch.zeros(3, dtype=torch.int64), Classes("s", ("x", "y")), specs={"tabular": SPEC})
    assert SPEC.mix is None and mixed_inputs(batch, batch, lambda one, other: (one + other) / 2) is None
    assert not SPEC.scaling and TabularSpec(("a",), "s").scaling
    allowed = {0.0, 3.0, -1.0}
    generator = torch.Generator().manual_seed(0)
    values = VALUES.repeat(50, 1)
    hidden = SPEC.hide(values, 0.5, generator)
    assert {*hidden[:, 2].nan_to_num(-1).tolist()} == allowed and 0.4 < hidden[::3, 2].isnan().float().mean() < 0.6
    noisy = SPEC.noise(values, 0.5, generator)
    assert torch.equal(noisy[:, 2].nan_to_num(-1), values[:, 2].nan_to_num(-1)) and not torch.equal(noisy[:, 1], values[:, 1])
    assert SPEC.noise(values, 0.0, generator)[:, 1].equal(values[:, 1])


def test_pieces_are_the_numbers():
    pieces = SPEC.pieces([VALUES], PieceOptions("mae", None, 1, True))
    cut = pieces.cut(VALUES)
    assert (
        pieces.places == 2 and cut.content.shape == (3, 2, 1) and cut.there.tolist() == [[True] * 2, [False, True], [True] * 2]
    )
    hidden = pieces.hide(VALUES, torch.tensor([[True, False]] * 3))
    assert hidden[:, 0].isnan().all() and torch.equal(hidden[:, 2].nan_to_num(-1), VALUES[:, 2].nan_to_num(-1))
    noisy = pieces.disturb(VALUES, cut.there, Noise(0.5, 1.0, 0, 0))
    assert torch.equal(noisy[:, 2].nan_to_num(-1), VALUES[:, 2].nan_to_num(-1)) and not torch.equal(noisy[:, 1], VALUES[:, 1])
    only = TabularSpec(("city",), "s", (3,))
    assert only.noise is None
    with pytest.raises(Problem, match=r"mae reconstructs numbers, and this table has categories only \(city\)"):
        only.pieces([], PieceOptions("mae", None, 1, True))


def test_one_hot_is_that_of_scikit_learn_with_two_more_for_missing_and_other_categories():
    encoder = TabularMlp(SPEC, widths=[4], categories="one_hot")
    given = torch.tensor([[NAN], [0.0], [1.0], [2.0], [3.0]])
    expected = OneHotEncoder(categories=[[-1, 0, 1, 2, 3]], sparse_output=False).fit_transform(given.nan_to_num(-1).numpy())
    assert torch.equal(encoder._read(given)[0], torch.from_numpy(expected).float())
    assert encoder.blocks[0][0].in_features == 4 + 5 and encoder(VALUES).values.isfinite().all()


@pytest.mark.parametrize(("count", "width"), [(0, 1), (1, 1), (2, 1), (3, 2), (10, 5), (98, 49), (99, 50), (1000, 50)])
def test_widths_of_embeddings(count, width):
    encoder = TabularMlp(TabularSpec(("c",), "s", (count,)), widths=[4])
    (table,) = encoder.embeddings
    assert table.weight.shape == (count + 2, width) and not table.weight[:2].any()
    assert encoder(torch.tensor([[NAN], [0.0], [float(count)]])).values.shape == (3, 1, 4)


def test_a_table_of_numbers_alone_has_the_parameters_it_had():
    torch.manual_seed(3)
    encoder = TabularMlp(TabularSpec(("a", "b"), "s"), widths=[4])
    torch.manual_seed(3)
    layer = torch.nn.Linear(4, 4)
    assert [*encoder.state_dict()] == ["blocks.0.0.weight", "blocks.0.0.bias"]
    assert torch.equal(encoder.blocks[0][0].weight, layer.weight)
    with pytest.raises(Problem, match="encoder.tabular.categories=onehot.*'one_hot'"):
        TabularMlp(SPEC, widths=[4], categories="onehot")


def test_gradients_of_embeddings_within_vmap_are_those_outside():
    encoder = TabularMlp(SPEC, widths=[4])
    parameters = dict(encoder.named_parameters())

    def loss(given, values):
        return torch.func.functional_call(encoder, given, (values,)).values.square().sum()

    batches = torch.stack([VALUES, VALUES.flip(0)])
    for kind in ("embedding", "one_hot"):
        encoder = TabularMlp(SPEC, widths=[4], categories=kind)
        parameters = dict(encoder.named_parameters())
        together = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, batches)
        for row, values in enumerate(batches):
            alone = torch.func.grad(loss)(parameters, values)
            assert all(torch.allclose(alone[name], together[name][row]) for name in alone)
