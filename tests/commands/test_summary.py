"""What a run says at its end."""

from pathlib import Path

from toys.results import finished

from xlearn.commands.summary import summary
from xlearn.commands.title import title


def test_a_run_of_one_modality_says_nothing_of_bounds() -> None:
    lines = summary(finished(), Path("out")).splitlines()
    assert lines[-2].strip() == "phases: a 1.5 s (cached), b 2.0 s"
    assert not any(word in line for line in lines for word in ("alone", "majority", "retrieval"))


def test_a_target_without_labels_is_compared_with_the_source_s_network() -> None:
    def part(value: float) -> dict:
        return {"metrics": {"accuracy": value}, "phases": []}

    given = finished(bounds={"source_only": part(0.5), "target_only": part(0.9)}, gap_closed={"accuracy": 0.25})
    given["selections"] = {"last": part(0.6), "entropy": part(0.55), "oracle": part(0.625)}
    given["config"]["target"]["shots"] = 0
    given["baseline"]["name"] = "source_only"
    lines = summary(given, Path("out")).splitlines()
    assert lines[0].endswith("optdigits: finetune, sharing None, no labels, seed 0")
    assert [line.split() for line in lines[1:3]] == [
        ["result", "source", "only", "gain"],
        ["accuracy", "0.6000", "0.5000", "+0.1000"],
    ]
    assert len({len(line) for line in lines[1:7]}) == 1  # columns stand below each other
    bounds = "lower (source only) 0.5000, upper (target only, all labels) 0.9000; 25 % of the gap closed"
    assert f"  bounds of accuracy: {bounds}" in lines
    rules = "last 0.6000, entropy 0.5500, oracle (needs target labels) 0.6250"
    assert f"  test accuracy by selection rule: {rules}" in lines
    given["gain"]["accuracy"], given["config"]["target"]["shots"] = -0.1, 5
    lines = summary(given, Path("out")).splitlines()
    assert ", 5 labels per class," in lines[0]
    assert any(line.startswith("  negative transfer: the unchanged source network") for line in lines)


def test_bounds_and_retrieval() -> None:
    alone = {
        name: {"metrics": {"accuracy": value}, "phases": [{"name": "finetune", "seconds": 1.0, "cached": False}]}
        for name, value in (("image", 0.4), ("text", 0.65))
    }
    found = {"recall@1": 0.1, "recall@5": 0.2, "recall@10": 0.3, "chance@10": 0.02, "items": 380}
    curve = {"missing": {"modality": "image", "levels": [0.0, 1.0], "accuracy": [0.6, 0.3]}}
    given = finished(alone=alone, majority={"accuracy": 0.2}, retrieval={"image->text": found}, robustness=curve)
    said = summary(given, Path("out"))
    for line in (
        "  accuracy of single modalities: image 0.4000, text 0.6500; all together -0.0500 over text",
        "  majority class: 0.2000 (accuracy)",
        "  retrieval image->text: recall@1 0.1000, recall@5 0.2000, recall@10 0.3000, chance@10 0.0200 (380 items)",
        "  missing image, accuracy by level: 0: 0.6000, 1: 0.3000",
        "  phases: a 1.5 s (cached), b 2.0 s, image alone 1.0 s, text alone 1.0 s",
    ):
        assert line in said.splitlines()


def test_tasks_learned_together_and_what_the_network_costs() -> None:
    def entry(name: str, value: float, before: float, seconds: float) -> dict:
        phases = [{"name": "single", "seconds": seconds}]
        single = {"name": "single task", "metrics": {"accuracy": before}, "phases": phases}
        return {"name": name, "metrics": {"accuracy": value}, "gain": {"accuracy": value - before}, "single": single}

    tasks = {"mnist5k": entry("mnist5k", 0.9, 0.91, 1.0), "target": entry("optdigits", 0.6, 0.58, 2.2)}
    given = finished(tasks=tasks, delta_m={"accuracy": 0.0118}, cost={"parameters": 112_300, "flops": 4.6e6})
    given["baseline"]["cost"] = {"parameters": 56_000, "flops": 2.3e6}
    lines = summary(given, Path("out")).splitlines()
    start = lines.index("  accuracy              joint   single     gain")
    assert lines[start + 1 : start + 4] == [
        "  mnist5k              0.9000   0.9100  -0.0100",
        "  optdigits (target)   0.6000   0.5800  +0.0200",
        "  delta_m: +1.2 % (mean relative change of accuracy over 2 tasks, joint against single-task networks)",
    ]
    cost = "  cost: 112k parameters, 4.6 MFLOPs per example"
    assert f"{cost} (scratch: 56k parameters, 2.3 MFLOPs)" in lines
    assert "  phases: a 1.5 s (cached), b 2.0 s, single tasks 3.2 s" in lines
    given["baseline"]["phases"] = [{**each, "cached": False} for each in tasks["target"]["single"]["phases"]]
    tasks["target"]["single"]["phases"] = given["baseline"]["phases"]
    assert "baseline 2.2 s, single tasks 1.0 s" in summary(given, Path("out"))
    given["baseline"]["cost"] = given["cost"]
    del given["delta_m"]["accuracy"]
    said = summary(given, Path("out"))
    assert cost in said.splitlines() and "delta_m" not in said


def test_notes_are_told_in_words() -> None:
    notes = {
        "name": "pairs", "data": "f00", "fingerprint": "f00", "examples": {"train": 5}, "split": {"seed": 0},
        "text": {"truncated": 37, "longest": 128}, "audio": {"resampled": 12, "from_rate": 8000, "to_rate": 16000, "cut": 0},
        "pairing": "class-paired: at random", "neutral_left_out": 3000, "bad_images": 2, "speakers": None, "empty": {},
        "own_note": 7,
    }  # fmt: skip
    lines = summary(
        finished(data={"target": notes, "source.a": {"name": "a", "examples": {"train": 9}}}), Path("out")
    ).splitlines()
    assert lines[-2] == (
        "  target: text: 37 truncated to 128 tokens; audio: 12 resampled from 8000 Hz to 16000 Hz; "
        "pairing class-paired: at random; 3,000 neutral example(s) left out; "
        "2 unreadable image(s) left out (skip_bad); own note 7"
    )
    assert not any("source.a" in line for line in lines)


def test_the_title_tells_the_imbalance():
    given = finished()
    assert "imbalance" not in title(given)
    given["config"]["target"]["imbalance"] = 0.01
    assert ", 5 labels per class, imbalance 0.01, seed 0" in title(given)


def test_a_network_that_has_not_learned_has_a_line_and_both_numbers_of_steps_stand_there() -> None:
    above = {"metric": "accuracy", "difference": 0.01, "low": -0.02, "high": 0.04}
    given = finished(learned=True, above_floor=above, steps=320, majority={"accuracy": 0.2})
    given["phases"][0]["steps"], given["phases"][1]["steps"] = 90, 320
    given["baseline"] |= {"steps": 300, "learned": True, "above_floor": above}
    lines = summary(given, Path("out")).splitlines()
    assert "  steps on the target: 320; in other phases: 90; scratch: 300" in lines and "not learned" not in "".join(lines)
    given["baseline"]["learned"] = False
    lines = summary(given, Path("out")).splitlines()
    told = "  not learned: scratch (better than the majority class by +0.0100 in accuracy, 95 % interval -0.0200 to +0.0400)"
    assert lines.count(told) == 1 and sum("no sign of transfer" in line for line in lines) == 1
    given["learned"], given["baseline"]["learned"] = False, True
    lines = summary(given, Path("out")).splitlines()
    assert any(line.startswith("  not learned: this run") for line in lines) and "no sign" not in "".join(lines)


def test_a_damaged_source_has_a_line() -> None:
    each = {"metric": "accuracy", "trained": 0.779, "frozen": 0.914, "difference": -0.135, "low": -0.2, "high": -0.07}
    given = finished(frozen_features={"photos": {**each, "below": True}, "others": {**each, "below": False}})
    lines = [line for line in summary(given, Path("out")).splitlines() if "linear probe" in line]
    assert len(lines) == 1 and lines[0].startswith(
        "  source photos: validation accuracy 0.7790 after its training, below 0.9140"
    )


def test_low_rank_parts_are_named_with_the_layers_that_have_none() -> None:
    layers = ["encoder.text.h.0.attn.c_attn", "encoder.text.h.1.attn.c_attn", "trunk.2"]
    entry = {"name": "low-rank parts", "layers": layers, "without": {"recurrent layers": ["encoder.text.lstm"]}}
    lines = summary(finished(private_layers=[entry]), Path("out")).splitlines()
    assert "  low-rank parts at 3 layers: encoder.text.h.*.attn.c_attn (2), trunk.2" in lines
    assert "  no low-rank parts at recurrent layers: encoder.text.lstm" in lines
    assert not any("parts" in line for line in summary(finished(), Path("out")).splitlines())
