from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlq_workers.board import Board, Mark, Occupation, Order, Seat, process_started

JOB, OTHER = "0198" * 8, "abcd" * 8


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    opened = Board(tmp_path / "board", seats=3)
    yield opened
    opened.close()


def hold(seat: Seat, job_id: str = JOB, attempt: int = 1, **more: float):  # type: ignore[no-untyped-def]
    return seat.hold(job_id, attempt, **{"deadline": 10.0, "time_limit": float("inf"), **more})


def only(board: Board) -> Occupation:
    (occupation,) = board.occupations()
    return occupation


def test_what_is_held_is_seen_until_it_ends(board: Board) -> None:
    with hold(board.seat(1), attempt=2**40, time_limit=99.0):
        held = only(board)
        assert (held.seat, held.job_id, held.attempt) == (1, JOB, 2**40)
        assert (held.pid, held.pid_started) == (os.getpid(), process_started(os.getpid()))
        assert (held.deadline, held.time_limit, held.group) == (10.0, 99.0, 0)
        assert board.holds(held)
    assert board.occupations() == []
    assert not board.holds(held)


def test_an_exception_leaves_the_seat(board: Board) -> None:
    with pytest.raises(KeyError), hold(board.seat(0)):
        raise KeyError
    assert board.occupations() == []


def test_seats_are_apart(board: Board) -> None:
    with hold(board.seat(0)), hold(board.seat(2), OTHER):
        assert [(held.seat, held.job_id) for held in board.occupations()] == [(0, JOB), (2, OTHER)]


def test_the_group_of_a_command_is_named_without_a_new_occupation(board: Board) -> None:
    seat = board.seat(0)
    with hold(seat):
        before = only(board)
        seat.report_group(4321)
        held = only(board)
        assert (held.group, held.pid, held.number) == (4321, os.getpid(), before.number)
    with hold(seat):
        assert only(board).group == 0


def test_a_renewal_counts_for_its_occupation_only(board: Board) -> None:
    seat = board.seat(0)
    with hold(seat):
        first = only(board)
        board.renew(first, 50.0)
        assert only(board).deadline == 50.0
        board.renew(first, 20.0)
        assert only(board).deadline == 20.0
        board.renew(first, 5.0)
        assert only(board).deadline == 10.0, "a claim's own deadline holds in any case"
        board.renew(first, 70.0)
    with hold(seat):
        assert only(board).deadline == 10.0
        board.renew(first, 99.0)
        assert only(board).deadline == 10.0


def test_orders_reach_whom_they_are_for(board: Board) -> None:
    seat = board.seat(0)
    with hold(seat):
        assert seat.order() == Order.NONE
        first = only(board)
        board.give_order(first, Order.CANCEL)
        assert seat.order() == Order.CANCEL
    with hold(seat):
        assert seat.order() == Order.NONE
        board.give_order(first, Order.DRAIN)
        assert seat.order() == Order.NONE


def test_only_what_is_still_held_is_cleared(board: Board) -> None:
    """The keeper decided on an attempt; meanwhile its process went on to the next one."""
    seat = board.seat(0)
    with hold(seat):
        first = only(board)
    with hold(seat, OTHER):
        board.vacate(first)
        assert only(board).job_id == OTHER
        board.vacate(only(board))
        assert board.occupations() == []


def test_draining_begins_once_it_is_said(board: Board) -> None:
    assert board.drains_at is None
    assert not board.seat(0).is_draining
    board.drain_at(12.5)
    assert board.drains_at == 12.5
    assert board.seat(0).is_draining


def test_who_opens_it_later_finds_everything(board: Board, tmp_path: Path) -> None:
    with hold(board.seat(2)):
        board.drain_at(3.0)
        again = Board(tmp_path / "board", seats=3)
        assert again.occupations() == board.occupations()
        assert again.drains_at == 3.0
        again.close()


def test_a_process_that_died_while_writing_leaves_a_usable_seat(
    board: Board, tmp_path: Path
) -> None:
    content = bytearray((tmp_path / "board").read_bytes())
    content[128] = 7  # odd: being written
    (tmp_path / "board").write_bytes(content)
    assert board.occupations() == []

    with hold(board.seat(0)):
        assert only(board).job_id == JOB
        assert only(board).number % 2 == 0


def test_a_reader_never_sees_halves(board: Board, tmp_path: Path) -> None:
    """Another process takes and leaves the seat as fast as it can."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "board")], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline()
        seen = set()
        for _ in range(20_000):
            for held in board.occupations():
                assert held.pid == writer.pid
                assert (held.job_id == JOB) == (held.attempt == 1), held
                assert (held.job_id == OTHER) == (held.attempt == 2), held
                assert held.group in (0, held.attempt * 1000), held
                seen.add(held.attempt)
        assert seen == {1, 2}
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()


_WRITER = f"""
import sys
from pathlib import Path
from mlq_workers.board import Board
seat = Board(Path(sys.argv[1]), seats=3).seat(0)
print("ready", flush=True)
while True:
    for attempt, job in ((1, "{JOB}"), (2, "{OTHER}")):
        with seat.hold(job, attempt, deadline=float(attempt), time_limit=9.0):
            for _ in range(20):
                seat.report_group(attempt * 1000)
"""


def test_a_process_is_named_by_its_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    assert process_started(child.pid) == process_started(child.pid) is not None
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_started(child.pid) is None, "a zombie does not live"
    child.wait()
    child.stdin.close()
    assert process_started(child.pid) is None


def test_a_mark_outlives_the_occupation_that_made_it(board: Board) -> None:
    seat = board.seat(0)
    with hold(seat):
        held = only(board)
        assert board.read_mark(held) is None  # nothing was marked yet
        seat.mark(OTHER, time_limit=7.0)
        assert only(board).time_limit == 7.0
    assert board.read_mark(held) == Mark(OTHER, 7.0)
    with hold(seat):
        assert board.read_mark(only(board)) is None


def test_between_two_trials_the_mark_is_known_to_be_empty(board: Board) -> None:
    seat = board.seat(0)
    with hold(seat):
        seat.mark(OTHER, time_limit=7.0)
        seat.mark()
        assert board.read_mark(only(board)) == Mark("", float("inf"))
        assert only(board).time_limit == float("inf")
