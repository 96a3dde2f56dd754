"""`xlearn train` from the command line to the files it leaves, on a toy task given from outside."""

import json
from pathlib import Path

import pytest
import torch
from toys.runs import only, results

from xlearn.commands.train import main
from xlearn.runtime.storage import read_tensors


def test_what_a_run_leaves(toy, capsys):
    assert main(toy) == 0
    folder, result = only()
    printed = capsys.readouterr().out
    assert printed.startswith("blobs -> dim: finetune, sharing all, 5 labels per class, seed 0")
    assert str(folder / "result.json") in printed
    names = {file.name for file in folder.iterdir()}
    assert names == {
        ".hydra",
        ".lock",
        "metrics.jsonl",
        "predictions.safetensors",
        "result.json",
        "transfer.json",
        "weights.safetensors",
    }
    assert folder.parent.name == "default"
    metrics, baseline, gain = result["metrics"], result["baseline"]["metrics"], result["gain"]
    assert gain["accuracy"] == pytest.approx(metrics["accuracy"] - baseline["accuracy"])
    assert gain["nll"] == pytest.approx(baseline["nll"] - metrics["nll"])
    predictions = read_tensors(folder / "predictions.safetensors")
    correct = (predictions["logits"].argmax(1) == predictions["labels"]).double().mean()
    assert metrics["accuracy"] == pytest.approx(float(correct))
    assert [phase["name"] for phase in result["phases"]] == ["pretrain", "finetune"]
    assert all(phase["seconds"] > 0 and phase["peak_memory"] > 0 for phase in result["phases"])
    assert result["data"]["target"]["examples"] == {"train": 15, "val": 9, "test": 24, "unlabeled": 72}
    assert {"torch", "xlearn", "python"} <= result["versions"].keys()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["phase"] for line in lines if line["step"] == 30] == ["finetune", "scratch"]
    report = json.loads((folder / "transfer.json").read_text(encoding="utf-8"))
    assert set(report) == {"numbers", "copied", "fresh", "unused"}
    assert report["copied"]["encoder.image.blocks.0.0.weight"] == [16, 36]
    assert report["fresh"] == {}


def test_a_finished_run_is_not_repeated_unless_forced(toy, capsys):
    main(toy)
    folder, first = only()
    stamp = (folder / "weights.safetensors").stat().st_mtime_ns
    assert main(toy) == 0
    assert "already done" in capsys.readouterr().out
    assert (folder / "weights.safetensors").stat().st_mtime_ns == stamp
    assert main([*toy, "force=true"]) == 0
    _, forced = only()
    assert not any(phase["cached"] for phase in forced["phases"])
    assert forced["metrics"] == first["metrics"]


@pytest.mark.slow
def test_equal_digest_exactly_if_equal_config(toy):
    main([*toy, "seed=0"])
    main([*toy, "seed=0", "target.shots=5", "experiment=default"])  # the same, said twice
    assert len(results()) == 1
    main([*toy, "target.shots=4"])
    main([*toy, "optimizer.lr=0.002"])
    assert len(results()) == 3


def test_a_sweep_shares_its_prefixes_and_tells_the_truth(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "empty"))
    assert main([*toy, "transfer=scratch,linear_probe,finetune,lp_ft,source_only", "target.shots=2,5", "-m"]) == 0
    found = results()
    assert len(found) == 10
    phases = [phase for result in found.values() for phase in result["phases"]]
    trained = [phase["name"] for phase in phases if not phase["cached"]]
    assert trained.count("pretrain") == 1
    assert trained.count("probe") == 2  # one per number of labels, shared by linear_probe and lp_ft
    by_choice = {(result["choices"]["transfer"], result["config"]["target"]["shots"]): result for result in found.values()}
    for shots in (2, 5):
        scratch = by_choice["scratch", shots]
        assert scratch["gain"]["accuracy"] == 0
        for transfer in ("linear_probe", "finetune", "lp_ft", "source_only"):
            other = by_choice[transfer, shots]
            # The baseline of two phases has the steps of both.
            steps = [other["baseline"]["steps"], scratch["steps"]]
            assert steps == ([60, 30] if transfer == "lp_ft" else [30, 30])
            assert transfer == "lp_ft" or other["baseline"]["metrics"] == scratch["metrics"]
            rows = [
                read_tensors(folder / "predictions.safetensors")["rows"]
                for folder, each in found.items()
                if each in (other, scratch)
            ]
            assert torch.equal(*rows)  # the same test split for every method


def test_a_key_of_swept_options_that_the_default_lacks(toy, capsys):
    assert main([*toy, "-m", "schedule=choice(cosine)", "schedule.warmup=0.5", "seed=0,1"]) == 0
    assert {result["config"]["schedule"]["warmup"] for result in results().values()} == {0.5}
    # One that some of them lack is told before any of them runs.
    assert main([*toy, "-m", "seed=5", "schedule=cosine,constant", "schedule.warmup=0.5"]) == 1
    assert "schedule.warmup: there is no such key" in capsys.readouterr().err
    assert len(results()) == 2


@pytest.mark.slow
def test_source_only_does_not_depend_on_target_labels(toy):
    main([*toy, "transfer=source_only", "target.shots=2,5", "-m"])
    one, other = results().values()
    assert one["metrics"] == other["metrics"]


def test_a_failing_job_does_not_stop_the_others(toy, capsys):
    assert main([*toy, "-m", "target.shots=1,500,2"]) == 1
    told = capsys.readouterr()
    assert len(results()) == 2
    [error] = Path("outputs").rglob("error.txt")
    assert "target.shots=500: class 'c0' has" in error.read_text(encoding="utf-8")
    assert "not every job of the sweep succeeded" in told.err
    assert "Traceback" not in told.err


def test_wrong_words_leave_nothing_behind(toy, capsys):
    assert main([*toy, "target.val=1.5", "batch_size=0"]) == 1
    assert not list(Path("outputs").rglob("*.*"))
    told = capsys.readouterr().err
    assert "target.val=1.5" in told
    assert "batch_size=0" in told
    assert main([*toy, "-m", "target.val=1.5,0.2"]) == 1  # in a sweep the job keeps its place
    assert sorted(file.name for file in Path("outputs").rglob("*.txt")) == ["error.txt", "log.txt", "log.txt"]


@pytest.mark.slow
def test_a_mended_run_loses_its_error(toy, monkeypatch):
    from toys import tasks

    blobs = tasks.blobs
    monkeypatch.setattr(tasks, "blobs", lambda *, shift=1.0: blobs(per_class=5, shift=shift))
    assert main([*toy, "target.shift=61.0"]) == 1
    [error] = Path("outputs").rglob("error.txt")
    assert "target.shots=5: class 'c0' has 3 training examples" in error.read_text(encoding="utf-8")
    monkeypatch.setattr(tasks, "blobs", blobs)
    assert main([*toy, "target.shift=61.0"]) == 1  # the data of this process are kept
    from xlearn.data import task_source

    task_source._loaded.clear()
    assert main([*toy, "target.shift=61.0"]) == 0
    assert not list(Path("outputs").rglob("error.txt"))


def test_earlier_results_survive_a_wrong_command(toy):
    main(toy)
    before = only()
    assert main([*toy, "target.shotz=1"]) == 1
    assert only() == before


def test_an_unexpected_error_is_a_sentence_with_the_traceback_in_a_file(toy, capsys, monkeypatch):
    from toys import tasks

    def broken(*, shift=0.0):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(tasks, "blobs", broken)
    assert main([*toy, "target.shift=51.0"]) == 1
    told = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: a bug" in told
    assert "Traceback" not in told
    [error] = Path("outputs").rglob("error.txt")
    assert "Traceback" in error.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written(toy, capsys):
    Path("outputs").write_text("a file in the way")
    assert main(toy) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "outputs" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["source=none"], "pretrain=supervised trains on a source, but there is none"),
        (["pretrain=none"], "there are no learned weights"),
        (["transfer=source_only", "sharing=encoder"], "sharing=encoder does not copy head."),
        (["transfer=source_only", "source.blobs.classes=[0,1]"], "sharing=all does not copy head."),
        (["target.classes=[c0,c9]"], "target.classes: 'c9' is no class"),
        (["pretrain=checkpoint", "pretrain.start.path=nowhere.pth"], "nowhere.pth: there is no such file"),
        (["pretrain=checkpoint"], "pretrain.start.path has to be given"),
        (["device=cuda:7"], "device=cuda:7: this machine has no such device"),
        (["precision=fp8"], "precision=fp8"),
        (["optimizer.lr=1e30"], "The loss 'blobs' became"),
        (["budget.transfer.epochs=2"], "budget.transfer: epochs=2.0 and steps=30 set"),
        (["+target.colour=red"], "target.colour: toys.tasks.blobs has no such argument"),
    ],
)
def test_wrong_input_is_one_clear_sentence(toy, words, sentence, capsys):
    assert main([*toy, *words]) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_digits_0_to_4_to_5_to_9_is_a_cross_task_experiment(toy):
    assert main([*toy, "source.blobs.classes=[0,1]", "target.classes=[1,2]"]) == 0
    folder, _ = only()
    report = json.loads((folder / "transfer.json").read_text(encoding="utf-8"))
    assert all(name.startswith("encoder.") for name in report["copied"])
    assert all(name.startswith("head.") for name in [*report["fresh"], *report["unused"]])


@pytest.mark.slow
def test_several_sources_and_folds(toy):
    folds = ["target.folds=3", "source.dim.folds=3", "source.dim.fold=${target.fold}"]
    assert main([*toy, "source=[blobs,dim]", "source.blobs.classes=[0,1]", *folds, "target.fold=0,1,2", "-m"]) == 0
    rows = [set(read_tensors(folder / "predictions.safetensors")["rows"].tolist()) for folder in results()]
    assert set.union(*rows) == set(range(120))
    assert sum(len(each) for each in rows) == 120
    _, result = next(iter(results().items()))
    lines = (next(iter(results())) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert set(json.loads(lines[0])["losses"]) == {"blobs", "dim"}
    assert result["config"]["target"]["folds"] == 3


def test_an_earlier_run_is_a_checkpoint(toy):
    main([*toy, "experiment=first"])
    [folder] = results(Path("outputs/first"))
    words = ["experiment=second", "pretrain=checkpoint", f"pretrain.start.path={folder}", "transfer=source_only"]
    assert main([*toy, *words]) == 0
    _, first = only(Path("outputs/first"))
    _, second = only(Path("outputs/second"))
    assert second["metrics"] == first["metrics"]


def test_wrong_words_take_no_folder_away_that_has_something_in_it(tmp_path, capsys):
    file = tmp_path / "keep" / "earlier" / "result.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert main(["batch_size=0", f"hydra.run.dir={tmp_path / 'keep'}"]) == 1
    assert main(["batch_size=0", f"hydra.run.dir={tmp_path / 'new'}"]) == 1
    assert file.is_file() and not (tmp_path / "new").exists()
    assert "batch_size=0" in capsys.readouterr().err
