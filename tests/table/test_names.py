"""Runs with several names: options that compose to the same configuration."""

import json

import yaml
from toys.results import finish

from xlearn.results.files import add_names
from xlearn.table import command
from xlearn.table.definition import read_definition
from xlearn.table.sweep import runs


def test_every_name_of_a_run_has_a_row(mine, capsys):
    (mine / "table" / "small.yaml").write_text(
        yaml.safe_dump(
            {
                "experiment": "small",
                "sweep": ["objective=logit_adjustment,balanced_softmax,cross_entropy", "target.shots=5", "seed=0,1"],
                "rows": "objective",
            }
        )
    )
    records, folder, _ = runs(read_definition(mine / "table" / "small.yaml"), [], [mine])
    assert len(records) == 6
    for number, record in enumerate(records):
        if record.choices["objective"] != "logit_adjustment":  # of the two names the second one has computed the run
            finish(record, folder / str(number), 0.5 + number / 10)
    main = ["small", "--config-dir", str(mine), "--format", "json"]
    assert command.main(main) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["rows"] == ["logit_adjustment", "balanced_softmax", "cross_entropy"]
    first, second, third = table["cells"]
    assert first["values"] == second["values"] != third["values"]
    assert [each["equal"] for each in table["cells"]] == [True, False, False]
    note = "`=`: objective=logit_adjustment and objective=balanced_softmax compose to the same configuration"
    assert sum(each.startswith(note) for each in table["notes"]) == 1
    # A table by other keys counts the run once.
    assert command.main([*main, "--rows", "transfer", "--where", "objective=logit_adjustment,balanced_softmax"]) == 0
    [cell] = json.loads(capsys.readouterr().out)["cells"]
    assert len(cell["values"]) == 2 and not cell["equal"]


def test_a_folder_remembers_the_names_of_its_run(mine, capsys):
    [record, *_], folder, _ = runs(read_definition(mine / "table" / "small.yaml"), [], [mine])
    place = folder / "one"
    finish(record, place)
    add_names(place, record.choices)
    assert not (place / "names.json").exists()
    for _ in range(2):
        add_names(place, record.choices, {**record.choices, "transfer": "other"})
    assert len(json.loads((place / "names.json").read_text())) == 2
    assert command.main([str(folder), "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert sorted(table["rows"]) == ["other", "scratch"]
    assert {each["row"]: each["equal"] for each in table["cells"]} == {"scratch": False, "other": True}
