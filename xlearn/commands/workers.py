"""The workers of a sweep: processes that take one job after the other, and this process, which hands out the jobs.

Standard library only: a `Process` and a `Pipe` for each worker. No pool: a pool decides itself which job is next, and loses all
jobs if one of its processes is killed.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from xlearn.commands.job import ERROR, LOG, finished, shown
from xlearn.commands.jobs import Job
from xlearn.commands.order import choose
from xlearn.commands.processes import context, one_thread
from xlearn.commands.worker import Order, Outcome, logged, serve, told, work
from xlearn.runtime.errors import Problem
from xlearn.runtime.interrupt import asked
from xlearn.runtime.storage import write_text

# Seconds between two looks at the requests to stop.
LOOK = 0.2
# Seconds that a process has to end by itself.
END = 5


@dataclass
class Worker:
    """A process and its job. `step`: (phase, step, steps), as it said last."""

    process: Any
    pipe: Connection
    device: str | None
    job: Job | None = None
    step: tuple[str, int, int] | None = None


@dataclass
class Sweep:
    """The jobs of a command on `count` workers, or in this process if it is 1.

    `more()` gives further jobs; it is called before a job is chosen, so that it may depend on the outcomes so far. `devices`:
    those of the workers, in turns. `command`: its id. `watch(sweep)` is called often, to show how far it has got.
    """

    more: Callable[[], Iterable[Job]]
    count: int
    devices: Sequence[str | None]
    command: str
    watch: Callable[["Sweep"], None] = lambda sweep: None
    waiting: list[Job] = field(default_factory=list)
    fresh: list[Job] = field(default_factory=list)  # those of which is not known whether they are finished
    again: list[Job] = field(default_factory=list)  # those whose process died
    stopping: bool = False
    workers: list[Worker] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def outcomes(self) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, as they end. After a request to stop no job begins, and those in progress are
        interrupted. The workers end with the iteration.
        """
        try:
            while True:
                # Again after finished jobs: further jobs may depend on them.
                while asked() is None and (new := [*self.more()]):
                    self.fresh += new
                    yield from self._finished()
                if self.count == 1:
                    if not self.waiting or asked() is not None:
                        return
                    yield self._here()
                else:
                    self._hand_out()
                    if not any(worker.job for worker in self.workers):
                        return
                    yield from self._received()
                self.watch(self)
        finally:
            self._end()

    def running(self) -> list[Worker]:
        """The workers with a job."""
        return [worker for worker in self.workers if worker.job is not None]

    def in_progress(self) -> int:
        """The number of jobs in progress, with those that begin now because a worker is free."""
        return min(self.count, len(self.running()) + len(self.waiting)) if asked() is None else len(self.running())

    def _finished(self) -> Iterator[tuple[Job, Outcome]]:
        """The new jobs whose result is there; the others wait."""
        while self.fresh and asked() is None:
            job = self.fresh.pop(0)
            content = job.content
            try:
                result = None if content["force"] else finished(job.folder, content)
            except (Problem, OSError):  # a folder of another run, or unreadable: the job itself fails, and says so
                result = None
            if result is None:
                self.waiting.append(job)
            else:
                self.done |= job.groups
                yield job, Outcome("cached", told(result))

    def _here(self) -> tuple[Job, Outcome]:
        job = self.waiting.pop(0)
        with logged(job.folder):
            outcome = work(Order(job, self.command, self.devices[0], self._later()))
        return job, outcome

    def _later(self) -> frozenset[str]:
        return frozenset(part for job in (*self.waiting, *self.again) for part in job.parts)

    def _hand_out(self) -> None:
        """Give every free worker a job. Jobs whose process died come last, alone: they may need all memory."""
        while asked() is None and len(self.running()) < self.count:
            if self.waiting:
                busy = {group for worker in self.workers if worker.job for group in worker.job.groups}
                job = self.waiting.pop(choose(self.waiting, busy, self.done))
            elif self.again and not self.running():
                self._end()  # idle workers hold data in memory
                job = self.again[0]
            else:
                return
            try:
                worker = self._free() or self._started()
            except (EOFError, OSError) as error:
                self.waiting += [job] if job not in self.again else []
                if asked() is not None:
                    return
                raise Problem(f"No worker can be started ({error}). Give workers=1.") from error
            worker.job, worker.step = job, None
            with suppress(OSError):  # it has just ended, which `_received` will notice
                worker.pipe.send(Order(job, self.command, worker.device, self._later()))

    def _free(self) -> Worker | None:
        self.workers = [each for each in self.workers if each.job is not None or each.process.is_alive()]
        return next((each for each in self.workers if each.job is None), None)

    def _started(self) -> Worker:
        taken = [worker.device for worker in self.workers]
        device = min(self.devices, key=taken.count)
        mine, theirs = context().Pipe()
        # One thread for libraries that read this when they are loaded; a job sets those of torch.
        with one_thread():
            process = context().Process(target=serve, args=(theirs, dict(os.environ)))
            process.start()
        theirs.close()
        self.workers.append(Worker(process, mine, device))
        return self.workers[-1]

    def _received(self) -> Iterator[tuple[Job, Outcome]]:
        """The outcomes that arrive within `LOOK` seconds."""
        if (number := asked()) is not None and not self.stopping:
            self.stopping = True
            for worker in self.workers:
                with suppress(OSError):  # it has just ended
                    worker.pipe.send(number)
        ready = wait([each for worker in self.running() for each in (worker.pipe, worker.process.sentinel)], LOOK)
        for worker in self.running():
            if worker.pipe in ready or worker.process.sentinel in ready:
                yield from self._from(worker)

    def _from(self, worker: Worker) -> Iterator[tuple[Job, Outcome]]:
        job = worker.job
        assert job is not None
        alive = worker.process.is_alive()  # before reading: the last message of a process is read before it counts as dead
        try:
            while worker.pipe.poll():
                received = worker.pipe.recv()
                if not isinstance(received, Outcome):
                    worker.step = received
                elif received.kind == "interrupted" and asked() is None:
                    alive = False  # a signal to this worker alone: it ends, as if it was killed
                else:
                    worker.job = None
                    self.done |= job.groups if received.kind == "done" else frozenset()
                    self.again = [each for each in self.again if each is not job]
                    yield job, received
                    return
        except (EOFError, OSError):
            alive = False
        if not alive:
            yield from self._died(worker, job)

    def _died(self, worker: Worker, job: Job) -> Iterator[tuple[Job, Outcome]]:
        worker.process.join(END)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        code = worker.process.exitcode
        how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with status {code}"
        if asked() is not None:
            yield job, Outcome("interrupted", f"its process {how}", signal=asked() or 0)
        elif job in self.again:
            self.again.remove(job)
            memory = " Often there is too little memory: give fewer workers, or smaller data." if "SIGKILL" in how else ""
            told = f"its process {how}, twice.{memory} What it printed is in {LOG}."
            write_text(job.folder / ERROR, f"{told}\n")
            yield job, Outcome("failed", f"{job.name}: {told} ({shown(job.folder)}/{ERROR})")
        else:
            self.again.append(job)
            print(f"note: {job.name}: its process {how}; it is tried once more at the end.", file=sys.stderr, flush=True)

    def _end(self) -> None:
        """End all workers. Idle ones leave when their pipe is closed; one with a job is killed: there was an error, or a second
        Ctrl-C.
        """
        for worker in self.workers:
            if worker.job is not None:
                worker.process.kill()
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(END)
            worker.process.kill()
        self.workers.clear()
