"""One command from start to end: what is watched, and why it ended."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from mlq.db.usage import Usage
from mlq.errors import StepError, UnavailableError
from mlq_workers.runner import guard, ranks
from mlq_workers.runner.environment import command_environment
from mlq_workers.runner.logs import CHUNK_BYTES, LogPump, OnLog
from mlq_workers.runner.mask import NO_MASK, Mask
from mlq_workers.runner.meter import AskGpus, Meter
from mlq_workers.runner.warm import ForkedGuard, WarmStarts

Stop = Literal["cancel", "drain"]
GuardProcess = subprocess.Popen[bytes] | ForkedGuard
Reason = Literal["error", "timeout", "oom", "canceled", "drained"]

_POLL_S = 0.2
_MEMORY_POLL_S = 0.05
#: Looking at memory may cost this part of a core, however many processes the host has.
_MEMORY_POLL_SHARE = 0.05
_START_TIMEOUT_S = 60.0
#: The guard gives killed processes 10 s to disappear; longer means that it is stuck itself.
_GUARD_TIMEOUT_S = 15.0
_LEFTOVER_BYTES = 1 << 20
_STOP_REASONS: Mapping[Stop, Reason] = {"cancel": "canceled", "drain": "drained"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A command and its limits.

    command: shell text, possibly many lines; the first that fails ends it (`bash -e`, else `sh`).
    env: variables that the job gives; see `command_environment` for the others.
    timeout_s: counted from the moment the command may run. memory_limit_bytes: resident memory of
    all its processes together. grace_s: time between SIGTERM and SIGKILL.
    gpu: devices it sees. processes: so many of the command beside each other, with the variables of
    `mlq_workers.runner.ranks`; threads: of all of them. tmp: an existing private folder for TMPDIR;
    left out, one is made for the time it runs. max_log_bytes: of output that is handed on.
    hidden: a folder that it must not reach, but for `readable` and `writable` in it.
    mask: takes secrets out of what it prints.
    """

    command: str
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    memory_limit_bytes: int | None = None
    grace_s: float = 10.0
    gpu: tuple[str, ...] = ()
    threads: int = 1
    processes: int | None = None
    tmp: Path | None = None
    max_log_bytes: int = 64 << 20
    hidden: Path | None = None
    readable: Sequence[Path] = ()
    writable: Sequence[Path] = ()
    mask: Mask = NO_MASK


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """How a command ended. Exactly one of exit_code and signal is set.

    reason: None for success; `drained` when `should_stop` asked to drain and it had not ended by
    itself. last_lines: the end of its output, oldest first. peak_rss_bytes: of its largest
    process, or of all together at a moment when they were added up.
    """

    exit_code: int | None
    signal: int | None
    reason: Reason | None
    last_lines: list[str]
    peak_rss_bytes: int
    wall_s: float


def run_command(
    spec: CommandSpec,
    *,
    on_log: OnLog,
    on_start: Callable[[int], None],
    should_stop: Callable[[], Stop | None],
    warm: WarmStarts | None = None,
    on_usage: Callable[[Usage], None] = lambda usage: None,
    ask_gpus: AskGpus | None = None,
) -> CommandOutcome:
    """Run a command to its end; no process of it is left when this returns or raises.

    on_log(stream, chunk): `stdout` or `stderr` and at most 64 KiB; called about four times a
        second, or as often as chunks are full. While it blocks, the command's output waits.
    on_start(pid): called once the process exists and before it runs a line of user code; pid is
        the id of its process group. If it raises, nothing was run.
    should_stop(): asked about five times a second.
    warm: where a script may start that cannot tell the difference.
    on_usage(usage): what it has used so far, with each sample, and at its end; not for one that
        ends within a second. ask_gpus: what the GPUs that it sees are doing.
    What these raise comes out of here, after the command was killed.
    Raises StepError when the command cannot be started, UnavailableError when the machine cannot
    start any process.
    """
    with _scratch(spec) as tmp:
        environment = command_environment(
            spec.env,
            tmp=tmp,
            gpu=spec.gpu,
            threads=max(1, spec.threads // (spec.processes or 1)),
        )
        shell = shutil.which("bash", path="/bin:/usr/bin") or "/bin/sh"
        argv = [shell, "-ec", spec.command]
        if spec.processes is not None:
            several = [sys.executable, "-I", "-S", ranks.__file__, str(spec.processes)]
            argv = [*several, *argv]
        order = {
            "worker": os.getpid(),
            "argv": argv,
            "environment": environment,
            "cwd": str(spec.cwd),
            "confinement": _confinement(spec, tmp),
        }
        with _started(spec, order, warm) as (process, channel):
            return _Run(
                spec,
                process,
                channel,
                LogPump(on_log, max_bytes=spec.max_log_bytes, mask=spec.mask),
                Meter(ask_gpus),
                on_usage,
            ).run(on_start, should_stop)


def _confinement(spec: CommandSpec, tmp: Path) -> dict[str, Any] | None:
    """What `guard.confine` takes."""
    if spec.hidden is None:
        return None
    return {
        "closed": str(spec.hidden),
        "writable": [str(tmp), *map(str, spec.writable)],
        "readable": [str(path.resolve()) for path in spec.readable],
    }


@contextmanager
def _scratch(spec: CommandSpec) -> Iterator[Path]:
    if spec.tmp is not None:
        yield spec.tmp
        return
    with tempfile.TemporaryDirectory(prefix="mlq-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _started(
    spec: CommandSpec, order: Mapping[str, Any], warm: WarmStarts | None
) -> Iterator[tuple[GuardProcess, socket.socket]]:
    """A guard that has its order. At the end it and everything below it has gone."""
    started = None
    if warm is not None and not spec.gpu and spec.processes is None:
        started = warm.start(
            spec.command,
            cwd=spec.cwd,
            environment=order["environment"],
            confinement=order["confinement"],
        )
    process, ours = started or _execute(order)
    with ours, process:
        try:
            ours.settimeout(_START_TIMEOUT_S)
            yield process, ours
        finally:
            ours.close()  # the guard kills all that is left and ends
            try:
                process.wait(_GUARD_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _execute(order: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A guard as a program of its own."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                # -I and -S: nothing of the user's or the host's can change what it does.
                [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={
                    name: os.environ[name]
                    for name in ("LD_LIBRARY_PATH",)  # where some Pythons find themselves
                    if name in os.environ
                },
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            ours.close()
            raise UnavailableError(
                f"This machine cannot start a process: {error.strerror}.",
                hint="It may be out of memory or of processes (ulimit -u).",
            ) from error
    try:
        ours.settimeout(_START_TIMEOUT_S)
        guard.send(ours, order)
    except OSError:  # it has gone already: who listens to it will find that out
        pass
    return process, ours


class _Run:
    """The loop around one command, and what it knows so far."""

    def __init__(
        self,
        spec: CommandSpec,
        process: GuardProcess,
        channel: socket.socket,
        pump: LogPump,
        meter: Meter,
        on_usage: Callable[[Usage], None],
    ) -> None:
        self._meter = meter
        self._on_usage = on_usage
        self._spec = spec
        self._process = process
        self._channel = channel
        self._pump = pump
        self._pid = 0
        self._reason: Reason | None = None
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._ended: tuple[int, str] | None = None  # wait status, why it could not start
        self._peak_rss_bytes = 0
        self._cpu_s = 0.0

    def run(
        self, on_start: Callable[[int], None], should_stop: Callable[[], Stop | None]
    ) -> CommandOutcome:
        try:
            _, self._pid = guard.receive(self._channel)
        except (EOFError, OSError):
            raise UnavailableError(
                f"The guard of a command did not start: {self._guard_output()}"
            ) from None
        on_start(self._pid)
        oom_kills = _count_oom_kills()
        began = time.monotonic()
        self._order(b"G")
        self._watch(began, should_stop)
        wall_s = time.monotonic() - began
        self._pump.close()
        if self._meter.samples:
            self._tell_usage(wall_s)
        status, error = self._ended or (int(signal.SIGKILL), "")
        if error:
            raise StepError(
                f"The command could not be started in {self._spec.cwd}: {error}.",
                code="command_not_started",
            )
        code = os.waitstatus_to_exitcode(status)
        reason = self._reason
        if reason is None and code != 0:
            # 137 is what a shell returns for a child that was killed.
            was_killed = code in {-signal.SIGKILL, 128 + signal.SIGKILL}
            reason = "oom" if was_killed and _count_oom_kills() > oom_kills else "error"
        return CommandOutcome(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            reason=reason,
            last_lines=self._pump.last_lines(),
            peak_rss_bytes=self._peak_rss_bytes,
            wall_s=wall_s,
        )

    def _watch(self, began: float, should_stop: Callable[[], Stop | None]) -> None:
        timeout_at = None if self._spec.timeout_s is None else began + self._spec.timeout_s
        limit = self._spec.memory_limit_bytes
        poll_at = began
        memory_at = None if limit is None else began
        sample_at = began + self._meter.interval_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ, "")
            for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
            while self._ended is None:
                moments = (
                    poll_at,
                    memory_at,
                    sample_at,
                    timeout_at,
                    self._kill_at,
                    self._pump.due_at(),
                )
                next_at = min(moment for moment in moments if moment is not None)
                for key, _ in selector.select(max(0.0, next_at - time.monotonic())):
                    if not key.data:
                        self._hear()
                    elif not self._read(key.fd, key.data):
                        selector.unregister(key.fileobj)
                now = time.monotonic()
                self._pump.flush_due(now)
                if timeout_at is not None and now >= timeout_at:
                    timeout_at = None
                    self._stop("timeout", now)
                if limit is not None and memory_at is not None and now >= memory_at:
                    if self._measure_memory(limit) > limit:
                        self._stop("oom", now)
                    cost_s = time.monotonic() - now
                    memory_at = now + max(_MEMORY_POLL_S, cost_s / _MEMORY_POLL_SHARE)
                if now >= sample_at:
                    self._sample(now - began)
                    cost_s = time.monotonic() - now
                    sample_at = now + max(self._meter.interval_s, cost_s / _MEMORY_POLL_SHARE)
                if now >= poll_at:
                    poll_at = now + _POLL_S
                    if self._reason is None and (wish := should_stop()):
                        self._stop(_STOP_REASONS[wish], now)
                if self._kill_at is not None and now >= self._kill_at:
                    self._kill_at = None
                    self._give_up_at = now + _GUARD_TIMEOUT_S
                    self._order(b"K")
                if self._give_up_at is not None and now >= self._give_up_at:
                    self._lose_guard()
        self._read_leftovers()

    def _stop(self, reason: Reason, now: float) -> None:
        """Begin to end the command, unless that has begun; memory can wait for no grace."""
        if reason == "oom" and self._give_up_at is None:
            self._kill_at = now
        elif self._reason is None:
            self._order(b"T")
            self._kill_at = now + self._spec.grace_s
        self._reason = self._reason or reason

    def _order(self, byte: bytes) -> None:
        try:
            self._channel.sendall(byte)
        except OSError:
            self._lose_guard()

    def _hear(self) -> None:
        try:
            _, status, peak_rss_bytes, error, self._cpu_s = guard.receive(self._channel)
        except (EOFError, OSError):
            self._lose_guard()
        else:
            self._ended = (status, error)
            self._peak_rss_bytes = max(self._peak_rss_bytes, peak_rss_bytes)

    def _lose_guard(self) -> None:
        """The guard was killed, or is stopped: end the group without it."""
        guard.kill_group(self._pid)
        self._process.kill()
        self._pump.feed("stderr", b"\n[mlq] The guard of this command was killed.\n")
        self._ended = (int(signal.SIGKILL), "")

    def _read(self, descriptor: int, stream: str) -> int:
        """Read once; the number of bytes, 0 at the end of the stream."""
        data = os.read(descriptor, CHUNK_BYTES // 2)
        if data:
            self._pump.feed(stream, data)
        return len(data)

    def _read_leftovers(self) -> None:
        # Not until the end of file: a process that could not be killed may hold the pipe open.
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            assert pipe is not None
            left = _LEFTOVER_BYTES
            try:
                while left > 0 and (size := self._read(pipe.fileno(), name)):
                    left -= size
            except BlockingIOError:
                continue

    def _guard_output(self) -> str:
        assert self._process.stderr is not None
        self._process.kill()
        return self._process.stderr.read(2000).decode(errors="replace").strip() or "no output"

    def _sample(self, at_s: float) -> None:
        processes = self._processes()
        total = sum(_memory_of(process, "rss") for process in processes)
        self._peak_rss_bytes = max(self._peak_rss_bytes, total)
        if processes:
            self._meter.look(processes, at_s=at_s, rss_bytes=total)
            self._tell_usage(at_s)

    def _tell_usage(self, wall_s: float) -> None:
        cpu_s = self._cpu_s or self._meter.cpu_s  # the guard knows it all, once it has ended
        self._on_usage(Usage(wall_s, cpu_s, self._peak_rss_bytes, tuple(self._meter.samples)))

    def _processes(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def _measure_memory(self, limit: int) -> int:
        """Resident bytes of all processes; pages that they share count once where that matters."""
        processes = self._processes()
        total = sum(_memory_of(process, "rss") for process in processes)
        if total > limit and len(processes) > 1:
            # Forked children share most of theirs; asking for that is too slow for every look.
            total = sum(_memory_of(process, "pss") for process in processes)
        self._peak_rss_bytes = max(self._peak_rss_bytes, total)
        return total


def _memory_of(process: psutil.Process, kind: Literal["rss", "pss"]) -> int:
    try:
        if kind == "rss":
            return int(process.memory_info().rss)
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.Error:
        return 0


def _count_oom_kills() -> int:
    """How often this kernel's OOM killer has struck; 0 where it does not say."""
    try:
        with open("/proc/vmstat", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0
