"""Columns of numbers: standardised on training rows alone, whatever is missing."""

import pytest
import torch

from xlearn.data.modalities import Pool
from xlearn.data.modalities.tabular import fit
from xlearn.data.task import TabularSpec
from xlearn.data.tasks import Raw
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.runtime.errors import Problem

NAN = float("nan")


def pool(values, columns=("a", "b"), train=None, name="toy"):
    column = torch.tensor(values)
    raw = Raw({"tabular": column}, torch.zeros(len(column), dtype=torch.int64), ("x",), "toy", columns=tuple(columns))
    return Pool(name, raw, "f", torch.arange(len(column)) if train is None else torch.tensor(train))


def test_statistics_are_those_of_all_training_rows_and_of_no_other():
    first, second = pool([[0.0, 5.0], [2.0, 5.0], [1e6, -3.0]], train=[0, 1]), pool([[4.0, 5.0], [NAN, NAN]])
    form = fit([first, second], {})
    values = torch.tensor([0.0, 2.0, 4.0])
    assert form.mean.tolist() == [2.0, 5.0] and form.deviation[0].item() == pytest.approx(values.std(correction=0).item())
    scaled, notes = form(second)
    assert scaled.dtype == torch.float32 and notes == {"missing_values": 2, "constant_columns": 1}
    assert scaled[0, 0].item() == pytest.approx(2 / values.std(correction=0).item())
    assert scaled[0, 1] == 0 and scaled[1].isnan().all()
    # The constant column stays 0 where the test holds something else.
    assert form(first)[0][2, 1] == 0 and form(first)[1] == {"constant_columns": 1}


def test_a_table_of_one_training_row_is_refused():
    with pytest.raises(Problem, match=r"toy: every column .* constant over the 1 training row\(s\).*Give more rows"):
        fit([pool([[1.0, 2.0], [3.0, 4.0]], train=[0])], {})


def test_the_spec_tells_statistics_apart():
    one, other = fit([pool([[1.0, 2.0], [3.0, 4.0]])], {}), fit([pool([[1.0, 2.0], [3.0, 5.0]])], {})
    assert one.spec == fit([pool([[1.0, 2.0], [3.0, 4.0]])], {}).spec != other.spec
    assert one.spec.columns == ("a", "b") and hash(one.spec)


@pytest.mark.parametrize("values", [[[0.1, NAN]] * 3, [[1e8 + 0.1, NAN]] * 3])
def test_a_constant_and_an_empty_column_are_zero_and_missing(values):
    scaled, _ = fit([given := pool(values)], {})(given)
    assert (scaled[:, 0] == 0).all() and scaled[:, 1].isnan().all()


def test_columns_are_found_by_name():
    first, second = pool([[1.0, 10.0], [3.0, 30.0]]), pool([[20.0, 2.0]], columns=("b", "a"), name="other")
    form = fit([first, second], {})
    assert form.mean.tolist() == [2.0, 20.0] and form(second)[0].tolist() == [[0.0, 0.0]]


def test_other_columns_are_refused_by_name():
    with pytest.raises(Problem, match="other has 'c' and toy has not; toy has 'b' and other has not.*numeric="):
        fit([pool([[1.0, 2.0]]), pool([[1.0, 2.0]], columns=("a", "c"), name="other")], {})
    with pytest.raises(Problem, match=r"toy: 1 column names \(a\)"):
        fit([pool([[1.0, 2.0]], columns=("a",))], {})


def test_the_encoder_is_finite_for_rows_that_lack_everything_and_knows_that_they_do():
    torch.manual_seed(0)
    encoder = TabularMlp(TabularSpec(("a", "b"), "s"), widths=[8, 4])
    values = torch.tensor([[NAN, NAN], [0.0, 0.0], [NAN, 0.0]])
    tokens = encoder(values)
    assert tokens.values.shape == (3, 1, encoder.width) == (3, 1, 4) and tokens.mask is None
    tokens.values.sum().backward()
    assert tokens.values.isfinite().all() and all(each.grad.isfinite().all() for each in encoder.parameters())
    assert len({tuple(row) for row in tokens.values.flatten(1).tolist()}) == 3  # missing is not the mean


@pytest.mark.parametrize(("options", "told"), [({"widths": []}, "widths"), ({"widths": [4], "dropout": 1.0}, "dropout")])
def test_wrong_sizes_are_told(options, told):
    with pytest.raises(Problem, match=f"encoder.tabular.*{told}"):
        TabularMlp(TabularSpec(("a",), "s"), **options)


def test_seconds_since_1970_are_standardised_before_they_become_single_precision():
    values = torch.tensor([[1.7e9 + 1], [1.7e9 + 2], [1.7e9 + 3]], dtype=torch.float64)
    raw = Raw({"tabular": values}, torch.zeros(3, dtype=torch.int64), ("x",), "toy", columns=("when",))
    given = Pool("toy", raw, "f", torch.arange(3))
    form = fit([given], {})
    assert form(given)[0].flatten().tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
