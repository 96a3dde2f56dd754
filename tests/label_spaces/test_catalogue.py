"""A family from outside of the package runs with everything that the engine has, and no engine file knows of it."""

import json
import re
from pathlib import Path

import pytest
import torch
from toys.catalogue import FILES, Catalogue
from toys.runs import only, results

import xlearn
from xlearn.commands.train import main
from xlearn.runtime.storage import read_tensors

FLOOR = "+transfer.comparisons.popular={_target_: toys.catalogue.TrainedPopularity}"


@pytest.fixture
def shop(tmp_path):
    for name, content in FILES.items():
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return [
        "--config-dir", str(tmp_path / "mine"), "+encoder/basket=baskets", "source=big_shop", "target=small_shop", "threads=1",
        "budget=quick", "batch_size=32", "optimizer.lr=0.02",
    ]  # fmt: skip


def test_rows_travel_by_item_and_the_floor_is_trained(shop):
    assert main([*shop, FLOOR]) == 0
    folder, result = only()
    # The reference: which items both shops have, whatever their places.
    common = {*"hgfedcba"} & {*"cdefxyab"}
    rows = json.loads((folder / "transfer.json").read_text())["rows"]
    [head] = [name for name in rows if name.endswith(".vectors")]
    assert rows[head] == {"copied": len(common), "fresh": 2}
    assert rows["encoder.basket.table.weight"]["fresh"] == 0  # one form for both tasks
    assert result["label_space"]["higher_is_better"] == {"reciprocal_rank": True, "mean_rank": False}
    assert result["gain"].keys() == result["metrics"].keys() == {"reciprocal_rank", "mean_rank"}
    trained, counted = result["floors"]["trained_popularity"], result["majority"]
    assert trained["metrics"]["reciprocal_rank"] == pytest.approx(counted["reciprocal_rank"], abs=0.15)
    assert result["metrics"]["reciprocal_rank"] > counted["reciprocal_rank"] + 0.1
    # A quarter of the baskets, the last ones; no row is right or wrong, so there is nothing to pair.
    given = read_tensors(folder / "predictions.safetensors")
    assert given["rows"].tolist() == [*range(60, 80)] and not any(name.startswith("correct") for name in given)


def test_copied_rows_are_those_of_the_same_item(shop, own_cache, tmp_path):
    """Without training after the copy, the target's head has the source's vectors of the common items, in its own places."""
    assert main([*shop, "transfer=linear_probe", "transfer.phases.probe.optimizer={_target_: torch.optim.SGD, lr: 0.0}"]) == 0
    folder, _ = only()
    found = read_tensors(folder / "weights.safetensors")
    [vectors] = [value for name, value in found.items() if name.endswith(".vectors")]
    [entry] = [
        each
        for each in tmp_path.with_name(f"{tmp_path.name}-cache").rglob("entry.json")
        if json.loads(each.read_text())["name"] == "pretrain"
    ]
    source = read_tensors(entry.parent / "weights.safetensors")
    [given] = [value for name, value in source.items() if name.endswith(".vectors")]
    big, small = "hgfedcba", "cdefxyab"
    for place, item in enumerate(small):
        if item in big:
            assert torch.equal(vectors[place], given[big.index(item)])


def test_learned_together_one_head_has_the_items_of_both(shop):
    assert main([*shop, "transfer=joint", "pretrain=none"]) == 0
    folder, result = only()
    assert result["tasks"].keys() == {"target", "big_shop"}
    # `delta_m` only where the single-task networks have learned, of so few users.
    learned = all(each["single"]["learned"] for each in result["tasks"].values())
    assert ("reciprocal_rank" in result["delta_m"]) == learned
    [vectors] = [value for name, value in read_tensors(folder / "weights.safetensors").items() if name.endswith(".vectors")]
    assert len(vectors) == len({*"hgfedcba", *"cdefxyab"})
    assert result["metrics"]["reciprocal_rank"] > result["majority"]["reciprocal_rank"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["transfer=dann", "target.shots=0"], "is defined for classes, but the labels here are items"),
        (["objective=focal"], "Focal is defined for classes, but the labels here are items"),
        (["metric=accuracy"], "metric=accuracy: small_shop predicts items"),
    ],
)
def test_what_needs_classes_is_refused_by_name(shop, capsys, words, told):
    assert main([*shop, *words]) == 1
    assert told in capsys.readouterr().err and not results()


def test_no_file_of_the_package_knows_of_it():
    package = Path(xlearn.__file__).parent
    for file in package.rglob("*.py"):
        assert not re.search(r"toys|basket|\bshop|Catalogue", file.read_text(encoding="utf-8")), file


def test_an_item_that_only_the_other_has_is_no_prediction():
    """The head of both has more rows than a task has items."""
    one, other = Catalogue("shops", tuple("ba")), Catalogue("shops", tuple("cb"))
    both = one.together(other)
    head = both.head(2)
    features = torch.randn(5, 2)
    whole = head(features)
    assert both.classes == ("a", "b", "c") and one.key == other.key
    assert torch.equal(one.outputs(head, features), whole[:, [1, 0]]) and torch.equal(
        other.outputs(head, features), whole[:, [2, 1]]
    )
