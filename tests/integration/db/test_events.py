"""The history loses nothing, whatever order transactions commit in."""

from __future__ import annotations

import threading
import time
from random import Random

import psycopg

from mlq.db import events
from mlq.db.engine import Database
from mlq.db.events import Cursor, Event
from tests.integration.db.plans import fan_out
from tests.integration.db.queue import Queue, race
from tests.servers import Postgres


def read(database: Database, cursor: Cursor, **more: object) -> list[Event]:
    with database.read() as conn:
        return events.read_after(conn, cursor, **more)  # type: ignore[arg-type]


def record(database: Database, kind: str, **columns: object) -> None:
    with database.write() as conn:
        events.record(conn, kind, **columns)


def subjects(found: list[Event]) -> list[str | None]:
    return [event.subject for event in found]


def test_reading_goes_on_where_it_stopped(database: Database) -> None:
    for number in range(5):
        record(database, "test.done", subject=str(number), detail={"number": number})

    first = read(database, Cursor(), limit=2)
    rest = read(database, first[-1].cursor)

    assert subjects(first) + subjects(rest) == ["0", "1", "2", "3", "4"]
    assert rest[-1].detail == {"number": 4}
    assert read(database, rest[-1].cursor) == []
    assert Cursor.parse(str(rest[0].cursor)) == rest[0].cursor


def test_filters(database: Database) -> None:
    root = "0" * 31 + "1"
    record(database, "job.claim", root_id=root, job_id=root)
    record(database, "jobless.act", subject="models:/a")
    record(database, "model_x.act", subject="models:/a")

    assert [event.kind for event in read(database, Cursor(), root_id=root)] == ["job.claim"]
    assert [event.kind for event in read(database, Cursor(), kinds=["job"])] == ["job.claim"]
    assert read(database, Cursor(), kinds=["model%", "mode__x"]) == []
    assert len(read(database, Cursor(), subject="models:/a")) == 2


def test_newest_is_where_a_stream_of_news_begins(database: Database) -> None:
    record(database, "test.old")
    with database.read() as conn:
        cursor = events.newest(conn)
    assert Cursor.parse(str(cursor)) == cursor

    record(database, "test.new")

    assert [event.kind for event in read(database, cursor)] == ["test.new"]


def test_what_commits_late_is_not_passed_over(postgresql: Database) -> None:
    """The trap: a low id that becomes visible after a higher one was read."""
    with postgresql.write() as slow:
        events.record(slow, "test.event", subject="slow")
        record(postgresql, "test.event", subject="fast")
        # the fast one has committed, but may not be shown while an older transaction is open
        assert read(postgresql, Cursor()) == []
        with postgresql.read() as conn:
            start = events.newest(conn)
    found = read(postgresql, Cursor())

    assert subjects(found) == ["slow", "fast"]
    assert subjects(read(postgresql, start)) == ["slow", "fast"]


def test_a_transaction_that_rolls_back_holds_nothing_up_for_good(postgresql: Database) -> None:
    try:
        with postgresql.write() as slow:
            events.record(slow, "test.event", subject="never")
            record(postgresql, "test.event", subject="fast")
            raise KeyError
    except KeyError:
        pass
    assert subjects(read(postgresql, Cursor())) == ["fast"]


def test_a_follower_sees_each_event_of_many_writers_once(database: Database) -> None:
    writers, each = 4, 12
    done = threading.Event()
    seen: list[Event] = []

    def write(number: int) -> None:
        for turn in range(each):
            with database.write() as conn:
                events.record(conn, "test.event", subject=f"{number}.{turn}.a")
                events.record(conn, "test.event", subject=f"{number}.{turn}.b")

    def follow() -> None:
        cursor = Cursor()
        while True:
            last = done.is_set()
            found = read(database, cursor, limit=7)
            seen.extend(found)
            if found:
                cursor = found[-1].cursor
            elif last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    for result in race(*[lambda number=number: write(number) for number in range(writers)]):
        assert result is None
    done.set()
    follower.join(timeout=20)

    expected = {f"{n}.{t}.{x}" for n in range(writers) for t in range(each) for x in "ab"}
    assert len(seen) == len(expected)
    assert set(subjects(seen)) == expected
    cursors = [event.cursor for event in seen]
    assert cursors == sorted(cursors)


def test_the_history_of_raced_jobs_is_whole(queue: Queue) -> None:
    tree = queue.submit(fan_out(6))

    def work(path: str) -> None:
        attempt = queue.claim(tree.ids[path])
        if attempt is not None:
            queue.release(attempt) if path == "s0" else queue.succeed(attempt)

    for result in race(*[lambda path=path: work(path) for path in tree.ids if path], lambda: None):
        assert result is None
    # the fixture `queue` replays the history against the table
    kinds = [event.kind for event in read(queue.database, Cursor(), root_id=tree.id)]
    assert kinds.count("job.succeed") == 5
    assert kinds.count("job.release") == 1


def test_another_database_of_the_server_holds_nothing_up(
    postgresql: Database, postgres: Postgres
) -> None:
    url = postgres.create()
    try:
        with psycopg.connect(url) as elsewhere:
            elsewhere.execute("CREATE TABLE busy (id integer)")  # a transaction that stays open
            with postgresql.read() as conn:
                start = events.newest(conn)
            record(postgresql, "test.event", subject="here")
            assert subjects(read(postgresql, start)) == ["here"]
    finally:
        postgres.drop(url)


def test_a_follower_misses_nothing_that_writers_commit_in_any_order(postgresql: Database) -> None:
    """Writers that have an id long before they write an event, and commit in disorder."""
    writers, each = 6, 25

    def write(number: int) -> None:
        random = Random(number)
        for turn in range(each):
            with postgresql.write() as conn:
                events.record(conn, "early.event")
                time.sleep(random.random() * 0.004)
                events.record(conn, "test.event", subject=f"{number}.{turn}")
                time.sleep(random.random() * 0.004)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    found: list[str | None] = []
    cursor = Cursor()
    deadline = time.monotonic() + 60
    while len(found) < writers * each and time.monotonic() < deadline:
        for event in read(postgresql, cursor, kinds=["test"]):
            found.append(event.subject)
            cursor = event.cursor
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == sorted(
        f"{number}.{turn}" for number in range(writers) for turn in range(each)
    )
