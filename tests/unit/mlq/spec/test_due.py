"""When timed schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec.due import Timer
from mlq.spec.schedule import CronTrigger, RecurrenceTrigger

ANCHOR = datetime(2026, 1, 1, 6, 30, tzinfo=UTC)


def cron(expression: str, zone: str = "UTC", **more: Any) -> Timer:
    trigger = CronTrigger(type="cron", expression=expression, time_zone=zone, **more)
    return Timer(trigger, anchor=ANCHOR)


def every(frequency: str, interval: int = 1, zone: str = "UTC", **more: Any) -> Timer:
    trigger = RecurrenceTrigger.model_validate(
        {
            "type": "recurrence",
            "frequency": frequency,
            "interval": interval,
            "time_zone": zone,
            **more,
        }
    )
    return Timer(trigger, anchor=ANCHOR)


def dues(timer: Timer, after: str, count: int) -> list[str]:
    moment: datetime | None = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        assert moment is not None
        moment = timer.after(moment)
        found.append("" if moment is None else f"{moment:%m-%d %H:%M}")
        if moment is None:
            break
    return found


@pytest.mark.parametrize(
    ("timer", "after", "expected"),
    [
        (cron("0 8 * * 1-5"), "2026-01-02T08:00", ["01-05 08:00", "01-06 08:00"]),
        (cron("*/30 * * * *", "Europe/Berlin"), "2026-01-01T00:10", ["01-01 00:30", "01-01 01:00"]),
        (every("minute", 90), "2026-01-01T06:30", ["01-01 08:00", "01-01 09:30"]),
        (every("hour", 5), "2020-01-01T00:00", ["01-01 06:30", "01-01 11:30"]),
        (every("day", 2), "2026-01-01T06:30", ["01-03 06:30", "01-05 06:30"]),
        (every("week"), "2026-01-01T07:00", ["01-08 06:30", "01-15 06:30"]),
        (
            every("week", 2, schedule={"hours": 9, "minutes": 0, "weekdays": ["Monday", "friday"]}),
            "2026-01-01T00:00",
            ["01-02 09:00", "01-12 09:00", "01-16 09:00"],
        ),
        (
            every("month", schedule={"hours": [0], "minutes": [0], "month_days": [31]}),
            "2026-01-01T00:00",
            ["01-31 00:00", "03-31 00:00", "05-31 00:00"],
        ),
        (
            every("day", schedule={"hours": [4, 5], "minutes": [0, 30]}),
            "2026-02-01T04:10",
            ["02-01 04:30", "02-01 05:00", "02-01 05:30", "02-02 04:00"],
        ),
    ],
)  # fmt: skip
def test_due_times(timer: Timer, after: str, expected: list[str]) -> None:
    assert dues(timer, after, len(expected)) == expected


# In Berlin 02:00-03:00 of 2026-03-29 is left out and 02:00-03:00 of 2026-10-25 comes twice.
@pytest.mark.parametrize("timer", [
    cron("30 2 * * *", "Europe/Berlin"),
    every("day", zone="W. Europe Standard Time", schedule={"hours": [2], "minutes": [30]}),
])  # fmt: skip
def test_a_daily_time_comes_once_a_day_whatever_the_clock_does(timer: Timer) -> None:
    spring = dues(timer, "2026-03-28T00:00", 3)
    assert spring[0] == "03-28 01:30"
    assert spring[1] in {"03-29 01:00", "03-29 01:30"}  # 03:00 (cron) and 03:30 on the wall
    assert spring[2] == "03-30 00:30"
    assert dues(timer, "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    # asked within the hour that comes again
    assert dues(timer, "2026-10-25T01:10", 1) == ["10-26 01:30"]


def test_an_hourly_time_counts_real_hours_when_the_clock_changes() -> None:
    assert dues(cron("0 * * * *", "Europe/Berlin"), "2026-10-25T00:00", 3) == [
        "10-25 01:00",
        "10-25 02:00",
        "10-25 03:00",
    ]


@pytest.mark.parametrize(
    "timer",
    [
        cron("15 */3 * * *", "America/New_York"),
        every("day", 3, "Australia/Lord_Howe", schedule={"hours": [1, 2, 3], "minutes": [0, 45]}),
        every("month", 2, "Pacific Standard Time", start_time="2019-11-30T02:30:00"),
        every("week", 1, "Pacific/Apia"),
    ],
)
def test_due_times_only_grow_and_the_latest_is_the_last_of_them(timer: Timer) -> None:
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    found, moment = [], timer.after(begin)
    while moment is not None and moment <= end:
        found.append(moment)
        # asked a little early, it answers the same
        assert timer.after(moment - timedelta(microseconds=1)) == moment
        moment = timer.after(moment)
    assert found == sorted(set(found))
    assert len(found) > 4
    assert timer.latest(after=begin, until=end) == found[-1]
    assert timer.latest(after=found[-1], until=found[-1] + timedelta(seconds=1)) is None


def test_start_and_end_bound_it() -> None:
    timer = cron(
        "0 * * * *",
        "America/New_York",
        start_time="2026-05-01T08:00:00",
        end_time="2026-05-01T14:00:00Z",
    )
    assert dues(timer, "2026-01-01T00:00", 5) == ["05-01 12:00", "05-01 13:00", "05-01 14:00", ""]


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: cron("0 8 * *"), "trigger.expression"),
        (lambda: cron("61 8 * * *"), "trigger.expression"),
        (lambda: cron("0 0 30 2 *"), "trigger.expression"),
        (lambda: cron("0 8 * * *", "Europe/Berlyn"), "trigger.time_zone"),
        (lambda: cron("0 8 * * *", "../../etc/passwd"), "trigger.time_zone"),
        (lambda: cron("0 8 * * *", start_time="tomorrow"), "trigger.start_time"),
        (
            lambda: cron("0 8 * * *", start_time="2026-02-01", end_time="2026-01-01"),
            "trigger.end_time",
        ),
        (lambda: every("hour", schedule={"hours": [1], "minutes": [0]}), "trigger.schedule"),
        (
            lambda: every("day", schedule={"hours": [1], "minutes": [0], "month_days": [1]}),
            "trigger.schedule.month_days",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_its_key(make: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert [problem.path for problem in caught.value.problems] == [path]
