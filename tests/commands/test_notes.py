"""What `xlearn train` says of a source that was left to the default, and of a metric that does not fit."""

from toys.runs import tasks_in

from xlearn.commands.train import main


def test_a_source_left_to_the_default_is_noted(tmp_path, capsys):
    """Where weights are copied from it, and only there."""
    folder = tasks_in(tmp_path / "own", dim="# Bright squares\n_target_: toys.tasks.blobs\n")
    words = [*folder, "target=dim", "budget=quick", "threads=1", "encoder/image=mlp", "encoder.image.widths=[4]"]
    for more, noted in (
        ([], True),
        (["transfer=scratch"], False),
        (["source=none", "pretrain=none", "transfer=scratch"], False),
    ):
        main([*words, *more, "metric=nosuch"])  # refused before anything is read
        assert ("note: the source is mnist5k by default" in capsys.readouterr().err) is noted


def test_a_metric_of_numbers_is_refused_for_classes(toy, capsys):
    assert main([*toy, "metric=mse"]) == 1
    assert "metric=mse: dim predicts classes. Set metric=accuracy." in capsys.readouterr().err
