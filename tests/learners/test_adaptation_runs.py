"""Runs that adapt, whole: what they are compared with, what bounds them, and what each rule would have kept."""

import pytest
from toys.runs import Runs, only

from xlearn.commands.train import main
from xlearn.metrics.measure import scalars
from xlearn.runtime.names import HIGHER_IS_BETTER
from xlearn.runtime.storage import read_tensors
from xlearn.selection import RULES

# Long enough to learn the source, and to change what is said of the target.
LEARNED = ["budget.pretrain.epochs=8", "optimizer.lr=0.01", "evaluations=4", "target.test=0.4"]
ALONE = ["transfer=scratch", "source=none", "pretrain=none"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), LEARNED)


def by_hand(metrics, bounds):
    """The share of the gap that is closed, by metric, where all labels are better than none."""
    own, low, high = (
        scalars(each) for each in (metrics, *(bounds[name]["metrics"] for name in ("source_only", "target_only")))
    )
    better = [name for name in own if (high[name] > low[name] if HIGHER_IS_BETTER[name] else high[name] < low[name])]
    return {name: (own[name] - low[name]) / (high[name] - low[name]) for name in better}


def test_a_target_without_labels_is_between_no_and_all_labels(run):
    (_, source_only), (_, adapted) = (run(f"transfer={transfer}", shots=0) for transfer in ("source_only", "coral"))
    _, labelled = run(*ALONE, shots=None)
    for result in (source_only, adapted):
        assert result["baseline"]["name"] == "source_only" and result["bounds"].keys() == {"source_only", "target_only"}
        # The source's network as it is: the baseline, and the lower bound; and what all labels would give.
        for part in (result["baseline"], result["bounds"]["source_only"]):
            assert part["metrics"] == source_only["metrics"]
        assert result["bounds"]["target_only"]["metrics"] == labelled["metrics"]
        assert result["gap_closed"] == pytest.approx(by_hand(result["metrics"], result["bounds"]))
    assert 0 < adapted["gap_closed"]["nll"] < 1 and source_only["gap_closed"]["nll"] == 0
    assert "selections" not in source_only and "bounds" not in labelled


def test_one_training_tells_what_every_rule_would_have_kept(run):
    kept = {rule: run("transfer=coral", shots=0, keep=rule) for rule in ("last", "snd", "oracle")}
    one, bounds = kept["last"][1]["selections"], kept["last"][1]["bounds"]
    for rule, (_, result) in kept.items():
        assert result["selections"] == one and tuple(one) == RULES
        assert one[rule]["metrics"] == result["metrics"] and one[rule]["step"] == result["phases"][-1]["kept_step"]
    assert len({result["phases"][-1]["key"] for _, result in kept.values()}) == 1
    assert sum(not result["phases"][-1]["cached"] for _, result in kept.values()) <= 1
    for each in one.values():
        assert each["gain"]["nll"] == pytest.approx(bounds["source_only"]["metrics"]["nll"] - each["metrics"]["nll"])
        assert each["gap_closed"] == pytest.approx(by_hand(each["metrics"], bounds))
    # They do not agree, or all this would tell nothing.
    assert len({one[rule]["step"] for rule in kept}) == 3
    last, snd = (read_tensors(kept[rule][0] / "weights.safetensors") for rule in ("last", "snd"))
    assert any(not value.equal(snd[name]) for name, value in last.items())


def test_a_target_of_few_labels_is_compared_with_these_alone(run):
    _, source_only = run("transfer=source_only", shots=2)
    _, scratch = run(*ALONE, shots=2)
    _, result = run("transfer=coral", shots=2)
    for each in (result, source_only):
        assert each["baseline"]["name"] == "scratch" and each["baseline"]["metrics"] == scratch["metrics"]
    assert result["bounds"].keys() == {"source_only", "target_only"}
    assert result["bounds"]["source_only"]["metrics"] == source_only["metrics"]
    assert result["bounds"]["target_only"]["metrics"]["nll"] < scratch["metrics"]["nll"]
    assert result["gap_closed"] == pytest.approx(by_hand(result["metrics"], result["bounds"]))
    assert tuple(result["selections"]) == RULES
    # What adapts nothing, and has labels, has nothing to do with all this.
    for each in (source_only, scratch):
        assert not {"bounds", "gap_closed", "selections"} & each.keys()


def test_what_a_solver_leaves_is_bounded_too(run):
    """On the features of an encoder that brings its weights, which have encoded the data before."""
    ready = [
        "encoder.image._target_=toys.networks.Ready",
        "+encoder.image.weights=ones",
        "encoder.image.widths=[4]",
        "pretrain=probe",
    ]
    _, result = run("transfer=coral_features", *ready, shots=0)
    assert result["bounds"].keys() == {"source_only", "target_only"} and "selections" not in result
    [phase] = result["phases"][1:]
    assert phase["steps"] == 0 and phase["kept_step"] == 0 and not phase["cached"]


@pytest.mark.parametrize("transfer", ["shot", "adabn"])
def test_a_source_model_is_adapted_without_the_source(run, transfer):
    """The run of the source leaves a checkpoint; another adapts it, and reads no example of the source."""
    normalised = ["trunk=mlp", "trunk.widths=[8]", "trunk.normalisation=batch"]
    folder, _ = run(*normalised, *ALONE, "target=blobs", shots=None)
    words = [*normalised, "source=none", "pretrain=checkpoint", f"pretrain.start.path={folder}", f"transfer={transfer}"]
    _, result = run(*words, shots=0)
    assert result["baseline"]["name"] == "source_only" and result["bounds"].keys() == {"source_only", "target_only"}
    rules = {"last", "entropy", "infomax", "snd", "mixval", "oracle"}
    assert result.get("selections", {}).keys() == (rules if transfer == "shot" else set())
    assert result["data"].keys() == {"target"}


def test_the_command_line_says_what_was_found(toy, capsys):
    assert main([*toy, "transfer=coral", "target.shots=0"]) == 0
    said = capsys.readouterr().out
    _, result = only()
    value = result["metrics"]["accuracy"]
    assert "blobs -> dim: coral, sharing all, no labels, seed 0" in said and "source only     gain" in said
    assert f"oracle (needs target labels) {result['selections']['oracle']['metrics']['accuracy']:.4f}" in said
    assert ["accuracy", f"{value:.4f}"] in [line.split()[:2] for line in said.splitlines()]
