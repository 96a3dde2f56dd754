"""A source's network beside a probe on the frozen features of its pretrained encoder."""

from pathlib import Path

import pytest
from toys.runs import only

from xlearn.commands.train import main

OPTION = "# Random directions\n_target_: toys.encoders.Directions\nweights: published\nrate: 0.1\n"


@pytest.fixture
def pretrained(toy):
    folder = Path(toy[1]) / "encoder" / "image"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "directions.yaml").write_text(OPTION, encoding="utf-8")
    words = [word for word in toy if not word.startswith("encoder")]
    return [*words, "encoder/image=directions", "source.blobs.val=0.3", "target.shots=5", "transfer=linear_probe"]


@pytest.mark.parametrize(("rate", "below"), [(0.03, False), (1e4, True)])
def test_a_rate_that_destroys_the_features_is_seen(rate, below, pretrained, capsys):
    assert main([*pretrained, f"optimizer.lr={rate}", "budget.pretrain.epochs=20"]) == 0
    _, result = only()
    [(role, found)] = result["frozen_features"].items()
    assert (
        role == "blobs" and found["below"] == below and found["difference"] == pytest.approx(found["trained"] - found["frozen"])
    )
    assert found["frozen"] > 0.9 and found["low"] <= found["difference"] <= found["high"]
    assert ("linear probe on the frozen" in capsys.readouterr().out) == below


@pytest.mark.parametrize("words", [["pretrain=probe"], ["pretrain=none"], ["encoder.image.weights=null"]])
def test_there_is_none_where_no_pretrained_encoder_was_trained(words, pretrained):
    assert main([*pretrained, *words]) == 0
    assert "frozen_features" not in only()[1]


def test_an_encoder_s_rate_is_in_effect_and_in_the_key(pretrained):
    """The first phase moves the encoder less at a lower rate; the baseline from scratch is the same."""
    from toys.runs import results

    for rate in (1.0, 0.01):
        assert main([*pretrained, f"encoder.image.rate={rate}", f"experiment=at{rate}"]) == 0
    first, second = (results(Path(f"outputs/at{rate}")).popitem()[1] for rate in (1.0, 0.01))
    assert first["phases"][0]["key"] != second["phases"][0]["key"]
    assert first["baseline"]["phases"][0]["key"] == second["baseline"]["phases"][0]["key"]
