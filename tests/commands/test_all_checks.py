"""`train` lists all problems of a run at once, each once, before anything trains."""

from toys.runs import results

from xlearn.commands.train import main


def test_problems_of_several_phases_come_at_once(toy, capsys):
    words = [
        *toy, "transfer=lp_ft", "transfer.phases.probe.objective={_target_: xlearn.objectives.Coral, weight: 1.0}",
        "transfer.phases.finetune.objective={_target_: xlearn.objectives.Kd}", "augment=token_dropout",
    ]  # fmt: skip
    assert main(words) == 1
    told = capsys.readouterr().err
    for sentence in ("phase probe", "kd needs a teacher", "augment=token_dropout has no effect"):
        assert told.count(sentence) == 1, told
    assert "Traceback" not in told and not results()
