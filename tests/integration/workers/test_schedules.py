"""Schedules on a database of each kind, fired by the leader's part; the clock is the test's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from sqlalchemy import func, select, update

from mlq.artifacts import Store
from mlq.db import monitoring
from mlq.db.engine import Database
from mlq.db.tables import data_versions, jobs, schedule_firings
from mlq.db.window import Delivery
from mlq.service import data
from mlq.service import schedules as service
from mlq.service.capacity import Windows
from mlq.settings import Settings
from mlq.spec import read_document
from mlq.spec.schedule import read_schedule
from mlq_workers import watcher
from mlq_workers.scheduler import Scheduler

NOON = datetime(2026, 3, 27, 12, tzinfo=UTC)
JOB = {"type": "command", "command": "echo ${{creation_context.trigger_time}}"}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url, pool_size=3)
    yield opened
    opened.close()


class World:
    """Schedules, a clock and one scheduler."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOON
        self.scheduler = Scheduler(Settings(), database, windows=Windows(per_slot=8))

    def put(self, trigger: dict[str, Any], *, name: str = "s", **more: Any) -> None:
        content = {"name": name, "trigger": trigger, "create_job": JOB, **more}
        schedule = read_schedule(read_document(yaml.safe_dump(content)))
        self.database.transact(service.put, schedule, actor="ann", secret="secret", now=self.now)

    def pass_(self, **step: float) -> list[Delivery]:
        """Let time go on, then make a pass."""
        self.now += timedelta(**step)
        return self.scheduler.run(now=self.now)

    def firings(self, name: str = "s") -> list[tuple[str, str]]:
        with self.database.read() as conn:
            found = conn.execute(
                select(schedule_firings.c.key, schedule_firings.c.outcome)
                .where(schedule_firings.c.schedule == name)
                .order_by(schedule_firings.c.due_at)
            )
            return [(row.key, row.outcome) for row in found]

    def jobs(self, name: str = "s") -> list[Any]:
        with self.database.read() as conn:
            return list(
                conn.execute(
                    select(jobs)
                    .where(jobs.c.submitted_by == f"schedule:{name}")
                    .order_by(jobs.c.id)
                )
            )

    def end(self, job_id: str) -> None:
        """As if a worker had done it."""
        with self.database.write() as conn:
            conn.execute(update(jobs).where(jobs.c.id == job_id).values(state="succeeded"))

    def add_data(self, text: str) -> None:
        self.database.transact(
            data.create_version,
            name="churn",
            digest=f"{hash(text) & (2**256 - 1):064x}",
            type="uri_file",
            file_name="churn.csv",
            size_bytes=len(text),
            actor="ann",
        )


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


HOURLY = {"type": "cron", "expression": "0 * * * *"}


def test_a_due_time_makes_one_job_and_a_message(world: World) -> None:
    world.put(HOURLY)
    assert world.pass_(minutes=59) == []
    (delivery,) = world.pass_(minutes=1)
    assert world.pass_(minutes=1) == []

    (job,) = world.jobs()
    assert [link.id for link in delivery.links] == [job.id]
    assert world.firings() == [("2026-03-27T13:00:00Z", "submitted")]
    with world.database.read() as conn:
        from mlq.db.queries.jobs import spec

        assert spec(conn, job.id)["command"] == "echo 2026-03-27T13:00:00Z"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("all", [(f"2026-03-27T{hour}:00:00Z", "submitted") for hour in range(13, 17)]),
        ("latest", [("2026-03-27T16:00:00Z", "submitted")]),
        ("none", [("2026-03-27T16:00:00Z", "missed")]),
    ],
)
def test_catch_up(world: World, policy: str, expected: list[tuple[str, str]]) -> None:
    world.put(HOURLY, catch_up=policy)
    world.pass_(hours=4, minutes=30)
    assert world.firings() == expected
    world.pass_(minutes=30)
    assert world.firings()[len(expected) :] == [("2026-03-27T17:00:00Z", "submitted")]


def test_overlap_skip(world: World) -> None:
    world.put(HOURLY, overlap="skip")
    world.pass_(hours=1)
    world.pass_(hours=1)
    world.end(world.jobs()[0].id)
    world.pass_(hours=1)
    assert [outcome for _, outcome in world.firings()] == ["submitted", "skipped", "submitted"]


def test_overlap_queue(world: World) -> None:
    world.put(HOURLY, overlap="queue")
    for _ in range(3):
        world.pass_(hours=1)
    assert [outcome for _, outcome in world.firings()] == ["submitted", "waiting", "waiting"]
    world.end(world.jobs()[0].id)
    world.pass_(minutes=1)
    assert [outcome for _, outcome in world.firings()] == ["submitted", "submitted", "waiting"]
    world.pass_(minutes=1)
    assert len(world.jobs()) == 2
    world.end(world.jobs()[1].id)
    world.pass_(minutes=1)
    assert [outcome for _, outcome in world.firings()] == ["submitted"] * 3


def test_overlap_cancel_previous(world: World) -> None:
    world.put(HOURLY, overlap="cancel_previous")
    world.pass_(hours=1)
    world.pass_(hours=1)
    assert [job.state for job in world.jobs()] == ["canceled", "queued"]


def test_what_cannot_be_submitted_is_noted_and_the_schedule_goes_on(world: World) -> None:
    world.put(
        HOURLY,
        create_job={
            "type": "command",
            "command": "cat ${{inputs.data}}",
            "inputs": {"data": {"type": "uri_file", "path": "mlq:gone@latest"}},
        },
    )
    world.pass_(hours=1)
    world.pass_(hours=1)
    assert [outcome for _, outcome in world.firings()] == ["failed", "failed"]
    assert world.jobs() == []
    with world.database.read() as conn:
        (detail, *_) = conn.scalars(select(schedule_firings.c.detail))
    assert "gone" in detail["error"]["message"]


def test_a_disabled_schedule_does_not_fire_and_makes_up_for_nothing(world: World) -> None:
    world.put(HOURLY, catch_up="all")
    world.database.transact(service.disable, "s", actor="ann", now=world.now)
    world.pass_(hours=3)
    world.database.transact(service.enable, "s", actor="ann", now=world.now)
    world.pass_(minutes=30)
    assert world.firings() == []
    world.pass_(minutes=30)
    assert len(world.firings()) == 1


@pytest.mark.parametrize(("policy", "expected"), [("latest", [3, 4]), ("all", [2, 3, 4])])
def test_new_data_fires_once_a_version(world: World, policy: str, expected: list[int]) -> None:
    world.add_data("a")
    world.put(
        {"type": "data", "data": "azureml:churn@latest"},
        catch_up=policy,
        create_job={"type": "command", "command": "echo ${{creation_context.data}}"},
    )
    world.pass_(minutes=1)
    assert world.firings() == [], "what was there before is not new"
    world.add_data("b")
    world.add_data("c")
    world.pass_(minutes=1)
    world.pass_(minutes=1)
    world.add_data("d")
    world.add_data("d")
    world.pass_(minutes=1)
    assert world.firings() == [(f"data:{version}", "submitted") for version in expected]
    assert len(world.jobs()) == len(expected)


def test_files_in_a_watched_store_become_data_and_fire(world: World, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "one.csv").write_text("a,b\n1,2\n")
    (inbox / "notes.txt").write_text("no data")
    store = Store.open(str(tmp_path / "store"))
    world.put({"type": "files", "path": f"{inbox}/*.csv", "data": "mlq:churn"})

    def look() -> list[tuple[str, str]]:
        watcher.look(world.database, store, now=world.now)
        world.scheduler.run(now=world.now)
        return world.firings()

    assert look() == [], "it may still be written"
    assert look() == [("data:1", "submitted")]
    (inbox / "copy.csv").write_text("a,b\n1,2\n")
    look()
    assert look() == [("data:1", "submitted")], "identical bytes are not new"
    (inbox / "one.csv").write_text("a,b\n1,2\n3,4\n")
    look()
    assert look() == [("data:1", "submitted"), ("data:2", "submitted")]
    with world.database.read() as conn:
        assert list(conn.scalars(select(data_versions.c.file_name))) == ["one.csv", "one.csv"]


# the simulation -------------------------------------------------------------------------------

SPANS = [  # three days around a change of the clocks: in Berlin in March, in New York in November
    ("2026-03-27T00:00+00:00", "2026-03-30T00:00+00:00"),
    ("2026-10-31T00:00+00:00", "2026-11-03T00:00+00:00"),
]
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def minutes(begin: datetime, end: datetime) -> list[datetime]:
    count = int((end - begin).total_seconds() // 60)
    return [begin + timedelta(minutes=number) for number in range(1, count + 1)]


def at_local(zone: ZoneInfo, begin: datetime, end: datetime, hour: int, minute: int) -> set[str]:
    """Minutes at which a clock on the wall shows that time, the first time it does."""
    found = set()
    for moment in minutes(begin, end):
        wall = moment.astimezone(zone)
        if (wall.hour, wall.minute, wall.fold) == (hour, minute, 0):
            found.add(service.iso(moment))
    return found


@pytest.mark.timeout(600)  # three days simulated, at the pace of three processes
@pytest.mark.parametrize("span", SPANS, ids=["spring", "autumn"])
def test_every_due_time_fires_exactly_once_whoever_is_killed(
    world: World, database_url: str, span: tuple[str, str]
) -> None:
    begin, end = (datetime.fromisoformat(text) for text in span)
    world.now = begin
    zones = {"berlin": "Europe/Berlin", "york": "Eastern Standard Time"}
    for name, zone in zones.items():
        world.put(
            {"type": "cron", "expression": "*/30 * * * *", "time_zone": zone},
            name=f"half-{name}", catch_up="all",
        )  # fmt: skip
        world.put(
            {"type": "cron", "expression": "30 2 * * *", "time_zone": zone},
            name=f"night-{name}", catch_up="all",
        )  # fmt: skip
        world.put(
            {
                "type": "recurrence", "frequency": "day", "interval": 1, "time_zone": zone,
                "schedule": {"hours": [1, 4], "minutes": [15, 45]},
            },
            name=f"day-{name}", catch_up="all",
        )  # fmt: skip
    seed = int(begin.timestamp())
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.integration.workers.scheduler_simulation",
            database_url, str(seed), *span,
        ],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15, "nobody was killed"

    for name, zone in (("berlin", BERLIN), ("york", NEW_YORK)):
        expected = {
            f"half-{name}": {service.iso(m) for m in minutes(begin, end) if m.minute % 30 == 0},
            f"day-{name}": set().union(
                *(
                    at_local(zone, begin, end, hour, minute)
                    for hour in (1, 4)
                    for minute in (15, 45)
                )
            ),
            f"night-{name}": at_local(zone, begin, end, 2, 30),
        }
        if name == "berlin" and begin.month == 3:
            # 02:30 of the 29th does not exist; Debian's cron runs at once after the gap
            expected["night-berlin"].add("2026-03-29T01:00:00Z")
        for schedule, times in expected.items():
            fired = world.firings(schedule)
            assert sorted(key for key, _ in fired) == sorted(times), schedule
            assert {outcome for _, outcome in fired} == {"submitted"}
            assert len(world.jobs(schedule)) == len(times), schedule
    with world.database.read() as conn:
        assert conn.scalar(select(func.count()).select_from(jobs)) == conn.scalar(
            select(func.count()).select_from(schedule_firings)
        )


def _drift(world: World, *, is_raised: bool = True) -> None:
    with world.database.write() as conn:
        monitoring.add_report(
            conn,
            endpoint="shop",
            deployment="production",
            model="churn",
            version=3,
            rows=500,
            result={"breaches": ["age: PSI 0.3 > 0.25"]},
            is_raised=is_raised,
        )


def test_drift_that_begins_fires_once(world: World) -> None:
    _drift(world)  # before there was a schedule
    words = "${{creation_context.endpoint}} ${{creation_context.deployment}}"
    job = {"type": "command", "command": f"echo {words} ${{{{creation_context.model}}}}"}
    world.put({"type": "drift", "endpoint": "shop"}, create_job=job)
    world.put({"type": "drift", "endpoint": "other"}, name="other", create_job=job)
    world.pass_()
    assert world.firings() == []
    _drift(world)
    _drift(world, is_raised=False)  # it goes on
    for _ in range(3):
        world.pass_(seconds=2)
    (fired,) = world.firings()
    assert (fired[0].partition(":")[0], fired[1]) == ("drift", "submitted")
    with world.database.read() as conn:
        (context,) = conn.scalars(select(schedule_firings.c.context))
    assert {key: context[key] for key in ("endpoint", "deployment", "model")} == {
        "endpoint": "shop",
        "deployment": "production",
        "model": "models:/churn/3",
    }
    with world.database.read() as conn:
        by_hand = service.by_hand(conn, "s", context={}, now=world.now)
    assert by_hand.context["model"] == "models:/churn/3"
    world.database.transact(service.disable, "s", actor="ann", now=world.now)
    _drift(world)
    world.database.transact(service.enable, "s", actor="ann", now=world.now)
    world.pass_(seconds=2)
    assert len(world.firings()) == 1  # what was raised while it was off is not made up for
    with world.database.write() as conn:
        monitoring.forget(conn, "shop")  # numbers may begin again
    _drift(world)
    world.pass_(seconds=2)
    assert len(world.firings()) == 2
    assert world.firings("other") == []
