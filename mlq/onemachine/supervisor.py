"""Keeps services running, and takes them all along when it ends.

It knows processes, signals and log files, but no database and no settings.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mlq.onemachine import logs, processes

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: A service that has run this long starts with a clean record.
_STEADY_S = 60.0
_LOOP_AFTER = 4
_HOUSEKEEPING_S = 10.0
_HURRIED_GRACE_S = 1.0


@dataclass(frozen=True)
class Service:
    """One program to keep running.

    command: a program and its arguments; with `fork`, a Python module and its arguments, run in a
    copy of the supervisor that shares what the supervisor has imported.
    stop_rank: services stop in rising order of it, those of one rank together.
    stop_grace: between SIGTERM and SIGKILL.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    fork: bool = False
    stop_rank: int = 0
    stop_grace: timedelta = timedelta(seconds=10)


@dataclass
class _Child:
    """A service and what has become of it."""

    service: Service
    log: Path
    pid: int | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    failures: int = 0
    reported: bool = False


class ServiceFailedError(Exception):
    """A service ended again and again before everything was ready."""

    def __init__(self, name: str, how: str, tail: Sequence[str]) -> None:
        self.name = name
        self.tail = list(tail)
        super().__init__(f"{name} {how}")


class Supervisor:
    """Starts services, starts them again when they die, stops them in order.

    Use from the main thread of a process of its own: it takes over SIGCHLD, SIGTERM, SIGINT and
    SIGHUP, and adopts every orphan below it.
    report: takes a line for the person at the terminal.
    """

    def __init__(
        self,
        *,
        folder: Path,
        logs_folder: Path,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._logs_folder = logs_folder
        self._report = report
        self._clock = clock
        self._children: dict[str, _Child] = {}
        self._tasks: dict[int, int | None] = {}
        self._housekeeping_at = clock() + _HOUSEKEEPING_S
        self._stop_signals = 0
        self._is_ready = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._stop_signals > 0

    def take_over(self) -> None:
        """Adopt orphans and catch the signals. Call it once, before the first `start`."""
        processes.adopt_orphans()
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)

    def start(self, service: Service) -> None:
        """Start `service` and keep it running from now on."""
        child = _Child(service, self._logs_folder / f"{service.name}.log")
        self._children[service.name] = child
        self._spawn(child)

    def pid_of(self, name: str) -> int | None:
        """Process id of the service `name`, None while it is down."""
        return self._children[name].pid

    def complete(self, service: Service) -> int | None:
        """Run a program to its end, tending the services meanwhile; its exit code.

        None when the end was asked for first.
        """
        child = _Child(service, self._logs_folder / f"{service.name}.log")
        pid = self._spawn(child)
        self._tasks[pid] = None
        while self._tasks[pid] is None and not self.stopping:
            self._tend(1.0)
        return self._tasks.pop(pid)

    def wait_for(
        self, fact: Callable[[], bool], *, timeout: timedelta, pause_s: float = 0.02
    ) -> bool:
        """Supervise until `fact()` is true; False when that took too long or the end was asked for.

        Raises ServiceFailedError when a service keeps dying meanwhile.
        """
        deadline = self._clock() + timeout.total_seconds()
        while not self.stopping and self._clock() < deadline:
            if fact():
                return True
            self._tend(pause_s)
        return False

    def run(self) -> None:
        """Supervise until somebody asks for the end."""
        self._is_ready = True
        while not self.stopping:
            self._tend(self._next_deadline() - self._clock())

    def stop(self) -> None:
        """Stop every service in its order, then whatever is left below this process."""
        self._stop_signals = max(self._stop_signals, 1)
        for rank in sorted({child.service.stop_rank for child in self._children.values()}):
            self._stop_rank(rank)
        processes.kill_descendants()
        signal.set_wakeup_fd(-1)
        for end in (self._wake_read, self._wake_write):
            os.close(end)

    def _ask_to_stop(self, *_: object) -> None:
        self._stop_signals += 1

    def _tend(self, wait_s: float) -> None:
        """Sleep until something happened or `wait_s` has passed, then see to it."""
        self._sleep(wait_s)
        now = self._clock()
        for child in self._children.values():
            if child.start_again_at is not None and child.start_again_at <= now:
                self._spawn(child)
        if now >= self._housekeeping_at:
            self._housekeeping_at = now + _HOUSEKEEPING_S
            for child in self._children.values():
                logs.rotate(child.log)

    def _sleep(self, wait_s: float) -> None:
        """Wait for a signal, at most `wait_s`, and take note of who ended."""
        select.select([self._wake_read], [], [], max(0.0, wait_s))
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass
        ended = processes.reap()
        for pid in ended.keys() & self._tasks.keys():
            self._tasks[pid] = ended[pid]
        self._bury(ended)

    def _next_deadline(self) -> float:
        again = [child.start_again_at for child in self._children.values()]
        return min([at for at in again if at is not None], default=self._housekeeping_at)

    def _spawn(self, child: _Child) -> int:
        service = child.service
        program, *arguments = service.command
        log = logs.open_log(child.log)
        try:
            child.pid = processes.fork(
                processes.run_module(program, arguments)
                if service.fork
                else processes.run_program(service.command),
                env=service.env,
                log=log,
                folder=self._folder,
                title=f"mlq: {service.name}",
            )
        finally:
            os.close(log)
        child.started_at = self._clock()
        child.start_again_at = None
        return child.pid

    def _bury(self, ended: Mapping[int, int]) -> None:
        """Note which services are among the processes that ended, and when to try again."""
        for child in self._children.values():
            pid = child.pid
            if pid is None or pid not in ended:
                continue
            child.pid = None
            # what is left of it would work on beside its successor
            processes.signal_group(pid, signal.SIGKILL)
            if self.stopping:
                continue
            now = self._clock()
            if now - child.started_at >= _STEADY_S:
                child.failures, child.reported = 0, False
            child.failures += 1
            how = _describe_exit(ended[pid])
            if child.failures >= _LOOP_AFTER:
                if not self._is_ready:
                    raise ServiceFailedError(child.service.name, how, logs.tail(child.log))
                if not child.reported:
                    child.reported = True
                    self._report_loop(child, how)
            else:
                self._report(f"{child.service.name} {how}; starting it again.")
            pause = min(_FIRST_PAUSE_S * 2 ** (child.failures - 1), _LONGEST_PAUSE_S)
            child.start_again_at = now + pause

    def _report_loop(self, child: _Child, how: str) -> None:
        lines = "\n".join(f"    {line}" for line in logs.tail(child.log))
        self._report(
            f"{child.service.name} {how}, {child.failures} times in a row. Its last lines:\n"
            f"{lines}\n  It is tried again, every {_LONGEST_PAUSE_S:g} s in the end. "
            f"Log: {child.log}"
        )

    def _stop_rank(self, rank: int) -> None:
        def alive() -> dict[int, _Child]:
            return {
                child.pid: child
                for child in self._children.values()
                if child.pid is not None and child.service.stop_rank == rank
            }

        deadlines = {}
        for pid, child in alive().items():
            deadlines[pid] = self._clock() + child.service.stop_grace.total_seconds()
            # one that a debugger or a test has stopped could not hear it
            processes.signal_group(pid, signal.SIGCONT)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while remaining := alive():
            now = self._clock()
            for pid in remaining:
                if self._stop_signals > 1:  # asked again: hurry
                    deadlines[pid] = min(deadlines[pid], now + _HURRIED_GRACE_S)
                if now >= deadlines[pid]:
                    processes.signal_group(pid, signal.SIGKILL)
            next_deadline = min(deadlines[pid] for pid in remaining)
            self._sleep(max(0.05, min(next_deadline - now, 1.0)))


def _describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
