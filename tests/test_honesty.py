"""What must not happen silently: leaks, random weights called copied, stale or foreign results."""

import json
from pathlib import Path

import pytest
from toys.runs import only, results
from toys.tasks import blobs

from xlearn.commands.train import main
from xlearn.data.copies import digests_of
from xlearn.data.provenance import read
from xlearn.runtime.storage import read_tensors


def test_a_folder_of_another_run_is_left_alone(toy, capsys):
    assert main([*toy, "hydra.run.dir=mine"]) == 0
    before = Path("mine/result.json").read_text(encoding="utf-8")
    assert main([*toy, "hydra.run.dir=mine", "seed=1"]) == 1
    assert "mine holds the result of another configuration" in capsys.readouterr().err
    assert Path("mine/result.json").read_text(encoding="utf-8") == before
    assert not Path("mine/error.txt").exists()


@pytest.mark.parametrize("option", ["target.test=0.5", "target.folds=3", "target.val=0.4 target.shots=null"])
def test_a_source_of_the_same_data_sees_nothing_that_the_target_is_measured_on(toy, option):
    """It follows the target's split, whatever its own options say: the weights have learned none of the test examples."""
    assert main([*toy, "source=dim", *option.split()]) == 0
    folder, _ = only()
    tested = read_tensors(folder / "predictions.safetensors")["rows"]
    content = digests_of(blobs(shift=50.0), "image")
    learned = read(folder).matched({"image": content}, {}, len(content))
    assert len(tested) > 0 and not learned[tested].any() and learned.sum() == len(content) - len(tested)
    assert main([*toy, "source=dim", "target.classes=[0,1]"]) == 0


def test_weights_of_an_earlier_run_with_other_splits_are_refused(toy, capsys):
    main([*toy, "experiment=first"])
    [folder] = results(Path("outputs/first"))
    assert main([*toy, "pretrain=checkpoint", f"pretrain.start.path={folder}", "source=none", "seed=1"]) == 1
    assert "test examples of the target, whatever they were called then" in capsys.readouterr().err


def test_random_weights_are_never_reported_as_copied(toy, capsys):
    main([*toy, "experiment=first"])
    [folder] = results(Path("outputs/first"))
    words = [*toy, "experiment=second", "source=none", "pretrain=checkpoint", f"pretrain.start.path={folder}"]
    assert main([*words, "target.classes=[0,1]"]) == 0
    report = json.loads(next(Path("outputs/second").rglob("transfer.json")).read_text(encoding="utf-8"))
    assert all(name.startswith("head.") for name in report["fresh"])
    assert len(report["fresh"]) == 2
    assert main([*words, "target.classes=[0,1]", "transfer=source_only"]) == 1
    assert "it would stay random" in capsys.readouterr().err


def test_what_is_neither_copied_nor_trained_is_refused(toy, capsys):
    assert main([*toy, "sharing=layers", "sharing.first=1", "transfer=linear_probe"]) == 1
    assert "sharing=layers does not copy encoder.image.blocks.1.0.weight and others" in capsys.readouterr().err


def test_changed_files_and_code_are_noticed(toy, capsys, monkeypatch):
    from xlearn.runtime import fingerprints

    main(toy)
    monkeypatch.setattr(fingerprints, "code_digest", lambda *modules: "another")
    assert main(toy) == 0
    told = capsys.readouterr()
    assert "was computed with other code or data files; it is computed again" in told.err
    assert "already done" not in told.out


def test_a_changed_module_of_the_user_is_noticed_wherever_it_is_used(tmp_path, monkeypatch):
    from xlearn.runtime.fingerprints import stamp

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("def penalty(network, batches): ...\n")
    phases = {"finetune": {"penalties": {"mine": {"_target_": "mine.penalty"}}}}
    config = {"source": {}, "target": {}, "encoder": {}, "pretrain": {}, "transfer": {"phases": phases}}
    before = stamp(config)
    assert stamp(config) == before
    (tmp_path / "mine.py").write_text("def penalty(network, batches): return {}\n")
    assert stamp(config) != before


def test_force_keeps_the_earlier_result_until_there_is_a_new_one(toy):
    main(toy)
    folder, _ = only()
    assert main([*toy, "force=true", "device=cuda:9"]) == 1
    assert (folder / "result.json").is_file()


@pytest.mark.slow
def test_a_forced_sweep_computes_each_phase_once(toy):
    assert main([*toy, "-m", "force=true", "transfer=scratch,linear_probe,lp_ft"]) == 0
    phases = [phase for result in results().values() for phase in (*result["phases"], *result["baseline"]["phases"])]
    keys = [phase["key"] for phase in phases if not phase["cached"]]
    assert len(keys) == len(set(keys)) == 5  # source, probe, the second phase of lp_ft, and scratch with 30 and 60 steps
