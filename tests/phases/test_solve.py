"""Phases through the cache: computed once, and going on where they were interrupted."""

import json
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from toys.networks import image_network
from toys.phases import phase, solve, stopped_at
from toys.tasks import blobs_task

from xlearn.networks.network import tensors
from xlearn.runtime.cache import Cache, weights_digest
from xlearn.runtime.errors import Interrupted
from xlearn.trainable._head_and_backbone import head_and_backbone


def test_a_phase_is_computed_once(tmp_path):
    first, entry, lines = solve(tmp_path, phase())
    second, again, repeated = solve(tmp_path, phase())
    assert not entry.report["cached"]
    assert again.report["cached"]
    assert weights_digest(tensors(first)) == weights_digest(tensors(second)) == entry.digest == again.digest
    assert [line["step"] for line in lines] == [8, 16, 24, 32, 40]
    assert repeated == [{**line, "cached": True} for line in lines]
    assert lines[-1]["target_val_accuracy"] > 0.9


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 41}, {"batch_size": 8}, {"optimizer": partial(torch.optim.Adam, lr=0.02)},
        {"trainable": partial(head_and_backbone, head=1.0, backbone=0.0)},
    ],
)  # fmt: skip
def test_whatever_determines_a_phase_changes_its_address(tmp_path, change):
    keys = {solve(tmp_path, each)[1].report["key"] for each in (phase(), phase(**change))}
    assert len(keys) == 2


def test_seed_and_data_change_the_address(tmp_path):
    plain = solve(tmp_path, phase())[1].report["key"]
    assert solve(tmp_path, phase(), seed=1)[1].report["key"] != plain
    assert solve(tmp_path, phase(), given=blobs_task(shots=3))[1].report["key"] != plain


@pytest.mark.parametrize("damage", ["truncate", "flip", "json", "missing"])
def test_a_damaged_entry_is_noticed_and_computed_again(tmp_path, capsys, damage):
    _, entry, _ = solve(tmp_path, phase())
    folder = Cache(tmp_path).folder(entry.report["key"])
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "truncate":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[-3] ^= 1
        weights.write_bytes(content)
    elif damage == "json":
        (folder / "entry.json").write_text("{", encoding="utf-8")
    else:
        weights.unlink()
    _, again, _ = solve(tmp_path, phase())
    assert not again.report["cached"]
    assert again.digest == entry.digest
    assert "damaged" in capsys.readouterr().out


def test_force_computes_again_once_per_command(tmp_path):
    solve(tmp_path, phase())
    _, again, _ = solve(tmp_path, phase(), forced="this command")
    assert not again.report["cached"]
    _, third, _ = solve(tmp_path, phase(), forced="this command")  # another run of the same sweep, in whichever process
    assert third.report["cached"] and third.report.keys() == again.report.keys()
    _, fourth, _ = solve(tmp_path, phase(), forced="another command")
    assert not fourth.report["cached"] and fourth.digest == third.digest


def test_stopping_saves_and_going_on_is_bit_identical(tmp_path):
    _, expected, lines = solve(tmp_path / "whole", phase(keep="best_target"))
    for stops in ([1], [7, 8], [13, 29, 39]):
        folder = tmp_path / str(stops)
        for stop in stops:
            with stopped_at(stop), pytest.raises(Interrupted, match=f"step {stop} of 40"):
                solve(folder, phase(keep="best_target"))
        _, entry, told = solve(folder, phase(keep="best_target"))
        assert entry.digest == expected.digest
        assert told == lines
        assert not (Cache(folder).folder(entry.report["key"]) / "resume.pt").exists()


def test_a_damaged_state_starts_the_phase_again(tmp_path, capsys):
    with stopped_at(9), pytest.raises(Interrupted):
        solve(tmp_path, phase())
    [state] = Path(tmp_path).rglob("resume.pt")
    state.write_bytes(b"nothing")
    _, entry, _ = solve(tmp_path, phase())
    assert entry.digest == solve(tmp_path / "other", phase())[1].digest
    assert "damaged" in capsys.readouterr().out


def test_two_that_want_one_phase_compute_it_once(tmp_path):
    """Threads stand for processes: the lock is on the file, and each has its own handle."""
    entries = []
    which, given = phase(steps=150), blobs_task()
    networks = [image_network(given.train) for _ in range(2)]  # made before: threads share the random state

    def go(network):
        entries.append(solve(tmp_path, which, given=given, network=network)[1])

    threads = [threading.Thread(target=go, args=(network,)) for network in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.report["cached"] for entry in entries) == [False, True]
    assert entries[0].digest == entries[1].digest


def test_the_entry_says_what_it_was_made_of(tmp_path):
    _, entry, _ = solve(tmp_path, phase())
    written = json.loads((Cache(tmp_path).folder(entry.report["key"]) / "entry.json").read_text(encoding="utf-8"))
    assert set(written["document"]) >= {"phase", "network", "incoming", "data", "seed", "machine", "code"}
    assert written["seconds"] > 0
    assert written["peak_memory"] > 1e6


def test_sealed_test_split_opens_once():
    given = blobs_task()
    given.test.open()
    with pytest.raises(RuntimeError, match="already used"):
        given.test.open()
    assert len(replace(given.test).examples) > 0
