"""Locks between processes: one at a time, and who waits is told for whom."""

import signal
import subprocess
import sys
import time

import pytest

from xlearn.runtime import interrupt
from xlearn.runtime.errors import Interrupted
from xlearn.runtime.locks import holder, locked

HOLD = """
import sys, time
from pathlib import Path
from xlearn.runtime.locks import locked
with locked(Path(sys.argv[1]), "computing phase abc") as waited:
    print("held", waited, flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def held(tmp_path):
    """A lock that another process holds, and that process."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock"), "60"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held False\n"
    yield tmp_path / "lock", process
    process.kill()
    process.communicate()


def test_a_free_lock_is_taken_at_once_and_leaves_no_holder(tmp_path, capsys):
    for _ in range(2):
        with locked(tmp_path / "lock", "computing") as waited:
            assert not waited and (tmp_path / "lock.holder").is_file()
        assert not (tmp_path / "lock.holder").exists()
    assert capsys.readouterr().out == ""


def test_who_waits_is_told_for_whom_and_since_when(held, capsys):
    file, process = held
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({process.pid}, 9)"])
    with locked(file, "computing phase abc") as waited:  # the kernel releases the lock of a killed process
        assert waited
    killer.wait()
    assert f"waiting for process {process.pid}, computing phase abc since {time.strftime('%Y-')}" in capsys.readouterr().out


def test_a_stopped_holder_is_named_with_the_way_to_go_on(held):
    file, process = held
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    told = holder(file.with_name("lock.holder"), "computing")
    assert told[1] == (
        f"process {process.pid} is stopped: `kill -CONT {process.pid}` lets it go on, `kill -KILL {process.pid}` ends it."
    )
    process.send_signal(signal.SIGCONT)
    time.sleep(0.2)
    assert len(holder(file.with_name("lock.holder"), "computing")) == 1


def test_a_request_to_stop_ends_the_waiting(held):
    file, _ = held
    with interrupt.listening():
        interrupt.ask(signal.SIGINT)
        with pytest.raises(Interrupted, match="stopped while waiting for another process"), locked(file, "computing"):
            pass
        assert interrupt.asked() == signal.SIGINT  # valid until the command ends
        with interrupt.listening():
            assert interrupt.asked() == signal.SIGINT
    assert interrupt.asked() is None


def test_a_holder_that_wrote_nothing_is_another_process(tmp_path):
    (tmp_path / "lock.holder").write_text("{")
    assert holder(tmp_path / "lock.holder", "computing phase abc") == [
        "waiting for another process, which is computing phase abc ..."
    ]
