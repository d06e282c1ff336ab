"""The board: who runs what on this worker, in memory shared by its pool processes and its keeper.

Each pool process has a seat (its index in the pool) and writes there what it holds; the keeper
reads all seats and writes orders. Shared memory instead of messages: announcing a step costs no
system call, and a keeper that is started again finds everything as it was.

Every occupation of a seat has a number of its own, odd while the seat is being written. What the
keeper writes names that number, so an order for a step that has just ended reaches nobody.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_SEAT_BYTES = 128
_HEADER_BYTES = 128

# seat, written by the pool process
_OCCUPATION = struct.Struct("<Q")  # at 0
_PROCESS = struct.Struct("<iiQ")  # at 8: pid, process group of a command, start time of pid
_GROUP = struct.Struct("<i")  # at 12: of these, the process group
_HELD = struct.Struct("<16sQ")  # at 24: job id, attempt (0: nothing)
_LIMITS = struct.Struct("<dd")  # at 48: lease deadline of the claim, end of the time limit
_LIMIT = struct.Struct("<d")  # at 56: of these, the end of the time limit
# seat, written by the keeper
_RENEWED = struct.Struct("<Qd")  # at 64: occupation, lease deadline
_ORDER = struct.Struct("<QQ")  # at 80: occupation, order
# seat, written by the pool process: what a sweep's runner is at
_MARK = struct.Struct("<Q16sd")  # at 96: occupation, trial id (0: none), end of its time limit
# header
_DRAIN = struct.Struct("<d")  # at 0: boot time at which a stopping worker hands work back
_REFUSES = struct.Struct("<Q")  # at 8: 1 while the worker is to take no work, as somebody asked


class Order(IntEnum):
    """What the keeper tells a pool process about the step it holds."""

    NONE = 0
    CANCEL = 1
    DRAIN = 2


@dataclass(frozen=True, slots=True)
class Occupation:
    """An attempt that a pool process holds now. Times are boot times in seconds.

    group: process group of the supervised command, 0 for work inside the pool process.
    deadline: until when the lease holds for sure; time_limit: infinity without one.
    """

    seat: int
    number: int
    pid: int
    pid_started: int
    group: int
    job_id: str
    attempt: int
    deadline: float
    time_limit: float


@dataclass(frozen=True, slots=True)
class Mark:
    """What a runner was at. trial: its id, "" between two; time_limit: of it, infinity without."""

    trial: str
    time_limit: float


class Board:
    """The shared memory of one worker."""

    def __init__(self, path: Path, *, seats: int) -> None:
        """Open the board at `path`, making it if it is not there."""
        self.seats = seats
        size = _HEADER_BYTES + seats * _SEAT_BYTES
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < size:
                os.ftruncate(descriptor, size)
            self._memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def seat(self, index: int) -> Seat:
        """The seat of the pool process with that index, for that process to write."""
        return Seat(self._memory, index, _HEADER_BYTES + index * _SEAT_BYTES)

    def occupations(self) -> list[Occupation]:
        """What is held now."""
        held = (self._read(index) for index in range(self.seats))
        return [occupation for occupation in held if occupation is not None]

    def renew(self, occupation: Occupation, deadline: float) -> None:
        """Note that the lease of `occupation` now holds until `deadline`."""
        base = _HEADER_BYTES + occupation.seat * _SEAT_BYTES
        _RENEWED.pack_into(self._memory, base + 64, occupation.number, deadline)

    def give_order(self, occupation: Occupation, order: Order) -> None:
        """Tell the holder of `occupation` to stop."""
        base = _HEADER_BYTES + occupation.seat * _SEAT_BYTES
        _ORDER.pack_into(self._memory, base + 80, occupation.number, order)

    def drain_at(self, moment: float) -> None:
        """Begin to drain: steps that still run at boot time `moment` are handed back."""
        _DRAIN.pack_into(self._memory, 0, moment)

    @property
    def drains_at(self) -> float | None:
        """When work is handed back, None while the worker takes work."""
        moment: float = _DRAIN.unpack_from(self._memory, 0)[0]
        return moment or None

    @property
    def refuses_work(self) -> bool:
        """Whether somebody wants the worker to take no further step."""
        return bool(_REFUSES.unpack_from(self._memory, 8)[0])

    def refuse_work(self, refuses: bool) -> None:
        """Take no further step, or take them again; those that run go on."""
        _REFUSES.pack_into(self._memory, 8, int(refuses))

    def holds(self, occupation: Occupation) -> bool:
        """Whether `occupation` is still what its seat holds."""
        base = _HEADER_BYTES + occupation.seat * _SEAT_BYTES
        (number,) = _OCCUPATION.unpack_from(self._memory, base)
        return bool(number == occupation.number)

    def read_mark(self, occupation: Occupation) -> Mark | None:
        """What the runner of `occupation` was at when it died; None if that is not known any more.

        It outlives the occupation, until the seat's next holder marks a trial of its own.
        """
        base = _HEADER_BYTES + occupation.seat * _SEAT_BYTES
        number, raw_id, time_limit = _MARK.unpack_from(self._memory, base + 96)
        if number != occupation.number:
            return None
        return Mark(raw_id.hex() if any(raw_id) else "", time_limit)

    def vacate(self, occupation: Occupation) -> None:
        """Clear the seat of a process that has died, unless it had gone on to something else."""
        if self.holds(occupation):
            self.seat(occupation.seat).vacate()

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()

    def _read(self, index: int) -> Occupation | None:
        base = _HEADER_BYTES + index * _SEAT_BYTES
        while True:
            (number,) = _OCCUPATION.unpack_from(self._memory, base)
            pid, group, started = _PROCESS.unpack_from(self._memory, base + 8)
            raw_id, attempt = _HELD.unpack_from(self._memory, base + 24)
            deadline, time_limit = _LIMITS.unpack_from(self._memory, base + 48)
            renewed_number, renewed = _RENEWED.unpack_from(self._memory, base + 64)
            if number == _OCCUPATION.unpack_from(self._memory, base)[0]:
                break
        if number % 2 or attempt == 0:
            return None  # being written now: the next look sees it
        if renewed_number == number:
            deadline = max(deadline, renewed)
        return Occupation(
            index, number, pid, started, group, raw_id.hex(), attempt, deadline, time_limit
        )


class Seat:
    """A pool process's own place on the board."""

    def __init__(self, memory: mmap.mmap, index: int, base: int) -> None:
        self.index = index
        self._memory = memory
        self._base = base
        self._number: int = _OCCUPATION.unpack_from(memory, base)[0]
        self._number += self._number % 2  # a predecessor may have died while writing
        self._pid = os.getpid()
        self._pid_started = process_started(self._pid) or 0

    @contextmanager
    def hold(
        self, job_id: str, attempt: int, *, deadline: float, time_limit: float
    ) -> Iterator[None]:
        """Occupy the seat with an attempt while it runs."""
        self._write(0, bytes.fromhex(job_id), attempt, deadline, time_limit)
        try:
            yield
        finally:
            self.vacate()

    def report_group(self, group: int) -> None:
        """Name the process group of the command that is about to run."""
        # Not with pack_into, which writes zeros first: the keeper would see pid 0, a dead process.
        self._memory[self._base + 12 : self._base + 16] = _GROUP.pack(group)

    def mark(self, trial: str = "", *, time_limit: float = math.inf) -> None:
        """Note which trial is about to run and when it must be over (boot time); "": none."""
        raw_id = bytes.fromhex(trial) if trial else bytes(16)
        # by assignment for the reason given in report_group; first the limit, which kills
        self._memory[self._base + 56 : self._base + 64] = _LIMIT.pack(math.inf)
        self._memory[self._base + 96 : self._base + 128] = _MARK.pack(
            self._number, raw_id, time_limit
        )
        self._memory[self._base + 56 : self._base + 64] = _LIMIT.pack(time_limit)

    def order(self) -> Order:
        """What the keeper says about the step that is held."""
        number, order = _ORDER.unpack_from(self._memory, self._base + 80)
        return Order(order) if number == self._number else Order.NONE

    @property
    def is_draining(self) -> bool:
        """Whether the worker takes no more work: what comes in pieces had better be handed on."""
        return self.refuses_work or bool(_DRAIN.unpack_from(self._memory, 0)[0])

    @property
    def refuses_work(self) -> bool:
        """Whether somebody wants the worker to take no further step."""
        return bool(_REFUSES.unpack_from(self._memory, 8)[0])

    def vacate(self) -> None:
        """Hold nothing."""
        self._write(0, bytes(16), 0, 0.0, 0.0)

    def _write(
        self, group: int, raw_id: bytes, attempt: int, deadline: float, time_limit: float
    ) -> None:
        memory, base = self._memory, self._base
        _OCCUPATION.pack_into(memory, base, self._number + 1)
        _PROCESS.pack_into(memory, base + 8, self._pid, group, self._pid_started)
        _HELD.pack_into(memory, base + 24, raw_id, attempt)
        _LIMITS.pack_into(memory, base + 48, deadline, time_limit)
        self._number += 2
        _OCCUPATION.pack_into(memory, base, self._number)


def process_started(pid: int) -> int | None:
    """When `pid` was started, in the kernel's ticks; None when there is no such live process.

    Together with the pid it names a process for good. 0 where the system has no /proc.
    """
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0 if not Path("/proc/self").exists() and _answers(pid) else None
    except ProcessLookupError:
        return None
    # the command name in parentheses may hold anything, so count from its end: state is field 3
    fields = content.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
