"""Results of earlier versions: read in the present names, in tables, in searches and as checkpoints.

`format_1/` was left by the version before the rooms (commit 2d16970), `format_2/` by the one before public names (4eccace),
`format_3/` by the one before views as a list (13020ea), `format_4/` by the one before content digests (24fd0d5): `xlearn train`
with the words of `WORDS`.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from xlearn.commands.check import main as check
from xlearn.commands.job import Taken, finished
from xlearn.commands.title import title
from xlearn.config.compose import choices, complete, composed, register
from xlearn.config.schema import identity
from xlearn.results.files import FORMAT, LaterFormat, read_result, write_result
from xlearn.search.scores import VALIDATION, metrics_by, rule_of, score
from xlearn.table.collect import collect
from xlearn.table.command import main as table
from xlearn.table.versions import key, newest

BEFORE = Path(__file__).parent / "format_1"
FORMATS = [Path(__file__).parent / f"format_{number}" for number in range(1, FORMAT)]
SMALL = ["budget=quick", "threads=1", "encoder.image.widths=[2,4]", "image.size=8"]
WORDS = {
    "wise_ft": [*SMALL, "transfer=wise_ft"],
    "dann": [*SMALL, "transfer=dann", "target.shots=0"],
    "failed": [*SMALL, "transfer=wise_ft", "optimizer.lr=1e9"],
    "gradual": [*SMALL, "transfer=gradual", "augment=[crop]", "sharing=layers", "sharing.first=1"],
    "joint": [*SMALL, "transfer=joint", "+transfer.phases.joint.batches.batch_size=32"],
    "l2_sp": [*SMALL, "transfer=l2_sp"],
    "self_distillation": [*SMALL, "transfer=self_distillation"],
    "reptile": [
        *[*SMALL, "pretrain=reptile", "transfer=episodes", "target.shots=2"],
        *["episodes.ways=3", "episodes.test=8", "episodes.val=4"],
    ],
}
TITLES = {
    "reptile": "mnist5k -> optdigits: episodes, sharing all, 3-way 2-shot, seed 0",
    "joint": "mnist5k together with optdigits: joint, 5 labels per class, seed 0",
}


def content(words):
    """The configuration as it is composed now."""
    register([])
    config = composed(words, [])
    return {**complete(config), "choices": choices(config.hydra)}


@pytest.mark.parametrize("name", WORDS)
def test_a_run_of_an_earlier_version_is_the_run_that_is_composed_now(name):
    [record] = collect([folder / name for folder in FORMATS if (folder / name).is_dir()])
    now = content(WORDS[name])
    assert identity(record.config) == identity(now) and record.choices == now["choices"]
    if record.result is not None:
        assert title(record.result) == TITLES.get(name, title({**record.result, "config": now}))
    assert (record.result is None) == (name == "failed") == (record.failure is not None)


def test_a_table_reads_a_folder_of_all(tmp_path, capsys):
    for folder in FORMATS:
        shutil.copytree(folder, tmp_path / "outputs", dirs_exist_ok=True)
    assert table([str(tmp_path / "outputs"), "--where", "optimizer.lr=0.001"]) == 0
    printed = capsys.readouterr().out
    names = [name for name in WORDS if name != "failed"]
    before = {name: read_result(tmp_path / "outputs" / name)["metrics"]["accuracy"] for name in names}
    assert all(f"{value:.3f}" in printed for value in before.values()) and "earlier version" not in printed
    # The same run again, in another folder as its digest is another.
    again = {**read_result(BEFORE / "wise_ft"), "code": "another"}
    again["metrics"]["accuracy"] = 0.987
    write_result(tmp_path / "outputs" / "again", {name: value for name, value in again.items() if name != "format"})
    assert table([str(tmp_path / "outputs"), "--where", "optimizer.lr=0.001"]) == 0
    printed = capsys.readouterr().out
    assert "**0.987**" in printed and f"{before['wise_ft']:.3f}" not in printed and f"**{before['dann']:.3f}**" in printed
    assert "1 result(s) of an earlier version are left out" in printed and f"({tmp_path}/outputs/wise_ft)" in printed


def test_of_one_format_the_result_that_was_written_last_counts(tmp_path):
    result = {**json.loads((BEFORE / "wise_ft" / "result.json").read_text(encoding="utf-8"))}
    for number, code in enumerate(("b", "a", "c")):
        write_result(tmp_path / code, {**result, "code": code})
        os.utime(tmp_path / code / "result.json", (number, number))
    records = collect([tmp_path])
    assert len({key(record) for record in records}) == 1
    kept, [note] = newest(records)
    assert [record.folder.name for record in kept] == ["c"] and note.startswith("2 result(s) of an earlier version")
    # One of the same version is a copy: which of the two is meant, a table does not guess.
    shutil.copytree(tmp_path / "c", tmp_path / "copy")
    assert len(newest(collect([tmp_path]))[0]) == 2
    assert newest([]) == ([], ())


@pytest.mark.parametrize(("name", "rule"), [("wise_ft", VALIDATION), ("dann", "infomax")])
def test_a_search_scores_a_run_of_an_earlier_version(name, rule):
    result = read_result(BEFORE / name)
    assert rule_of(result, None if name == "wise_ft" else rule) == rule
    assert isinstance(score(result, BEFORE / name, rule), float)
    assert 0 < metrics_by(result, rule)["accuracy"] < 1


def test_weights_of_an_earlier_version_are_carried_on(capsys):
    words = ["source=none", "pretrain=checkpoint", f"pretrain.start.path={BEFORE / 'wise_ft'}", *SMALL]
    assert check(words) == 0
    assert "everything works" in capsys.readouterr().out
    # What the earlier run has used is not measured on.
    assert check([*words, "seed=1"]) == 1
    assert "has learned from 277 of the 359" in capsys.readouterr().err


def test_a_result_of_a_later_version_is_left_out_and_never_overwritten(tmp_path, capsys):
    shutil.copytree(BEFORE, tmp_path / "outputs")
    later = {**read_result(BEFORE / "dann"), "format": FORMAT + 1}
    file = tmp_path / "outputs" / "dann" / "result.json"
    file.write_text(json.dumps(later), encoding="utf-8")
    assert len(collect([tmp_path / "outputs"])) == 2
    assert f"note: 1 result(s) left out: {file} has format {FORMAT + 1}, and this version" in capsys.readouterr().err
    with pytest.raises(LaterFormat):
        read_result(file.parent)
    with pytest.raises(Taken, match=f"has format {FORMAT + 1}"):
        finished(file.parent, content(WORDS["dann"]))


def test_a_finished_run_of_an_earlier_version_is_computed_again_in_its_own_folder(tmp_path, capsys):
    shutil.copytree(BEFORE / "dann", tmp_path / "dann")
    assert finished(tmp_path / "dann", content(WORDS["dann"])) is None
    assert "was computed with other code or data files; it is computed again" in capsys.readouterr().err
    with pytest.raises(Taken, match="the result of another configuration"):
        finished(tmp_path / "dann", content(WORDS["wise_ft"]))


def test_what_is_written_is_what_is_read(tmp_path):
    assert read_result(tmp_path) is None
    written = write_result(tmp_path, {"config": {"seed": 1}})
    assert written == read_result(tmp_path) == {"format": FORMAT, "config": {"seed": 1}}
    (tmp_path / "result.json").write_text("[1]")
    with pytest.raises(ValueError, match="no mapping"):
        read_result(tmp_path)
