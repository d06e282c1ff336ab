"""When a timed schedule is due: cron and recurrence in a time zone, across changes of the clock.

Due times are moments in UTC, strictly increasing. A wall-clock time that a change of the clock
leaves out is moved forward by the change; one that comes twice is due the first time. Cron runs as
Debian's does (cronsim): where its hours or minutes are `*`, it counts real time instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from dateutil import rrule
from tzlocal.windows_tz import win_tz

from mlq.errors import SpecError, nearest
from mlq.spec.schedule import WEEK_DAYS, CronTrigger, RecurrenceTrigger, refuse

_FIXED = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_RULES: Mapping[str, Literal[1, 2, 3]] = {
    "day": rrule.DAILY,
    "week": rrule.WEEKLY,
    "month": rrule.MONTHLY,
}
#: Further than any change of a clock moves a time.
_REACH = timedelta(hours=27)


class Timer:
    """The due times of one trigger.

    anchor: what a recurrence without `start_time` counts from, the schedule's creation.
    Raises SpecError naming the key that makes no sense.
    """

    def __init__(self, trigger: CronTrigger | RecurrenceTrigger, *, anchor: datetime) -> None:
        self._trigger = trigger
        self._zone = find_zone(trigger.time_zone)
        self._start = self._moment(trigger.start_time, "start_time")
        self._end = self._moment(trigger.end_time, "end_time")
        self._anchor = (self._start or anchor.replace(microsecond=0)).astimezone(self._zone)
        if self._start and self._end and self._end <= self._start:
            raise refuse("trigger.end_time", "This is not after start_time.")
        if isinstance(trigger, CronTrigger):
            _check_cron(trigger.expression)
        elif trigger.schedule is not None:
            if trigger.frequency in _FIXED:
                raise refuse(
                    "trigger.schedule",
                    "Hours and minutes are of days, weeks and months; every "
                    f"{trigger.frequency} has none of its own.",
                )
            if trigger.schedule.month_days and trigger.frequency != "month":
                raise refuse("trigger.schedule.month_days", "Only months have days of the month.")
            if trigger.schedule.week_days and trigger.frequency == "month":
                raise refuse("trigger.schedule.week_days", "Use month_days with months.")

    def after(self, moment: datetime) -> datetime | None:
        """The first due time after `moment`, in UTC; None when there is none any more."""
        moment = moment.astimezone(UTC)
        if self._start is not None:
            # the start itself may be due
            moment = max(moment, self._start - timedelta(microseconds=1))
        found = self._first(moment)
        if found is None or (self._end is not None and found > self._end):
            return None
        return found

    def latest(self, *, after: datetime, until: datetime) -> datetime | None:
        """The last due time in (after, until], or None."""
        span = timedelta(hours=1)
        while True:
            begin = max(after, until - span)
            due = self.after(begin)
            last = None
            while due is not None and due <= until:
                last, due = due, self.after(due)
            if last is not None or begin == after:
                return last
            span *= 4

    def _first(self, moment: datetime) -> datetime | None:
        if isinstance(self._trigger, CronTrigger):
            ticks = CronSim(self._trigger.expression, moment.astimezone(self._zone))
            # in an hour that comes twice it names the first one again
            dues = (tick.astimezone(UTC) for tick in ticks)
            return next((due for due in dues if due > moment), None)
        unit = _FIXED.get(self._trigger.frequency)
        if unit is None:
            return self._first_on_the_clock(moment)
        first, step = self._anchor.astimezone(UTC), unit * self._trigger.interval
        return first + max(0, (moment - first) // step + 1) * step

    def _first_on_the_clock(self, moment: datetime) -> datetime | None:
        """The first moment after `moment` that a time on the wall stands for.

        A time that was moved forward may stand for a later moment than the one that follows it.
        """
        best: datetime | None = None
        for wall in self._rule(moment.astimezone(self._zone).replace(tzinfo=None) - _REACH):
            due = wall.replace(tzinfo=self._zone).astimezone(UTC)
            if due > moment:
                best = due if best is None else min(best, due)
            if best is not None and due > best + _REACH:
                break
        return best

    def _rule(self, begin: datetime) -> Iterator[datetime]:
        """Times on the wall from `begin` on, none before the start."""
        trigger = self._trigger
        assert isinstance(trigger, RecurrenceTrigger)
        pattern = self._pattern(trigger)
        start = self._anchor.replace(tzinfo=None)
        rule = rrule.rrule(
            _RULES[trigger.frequency],
            interval=trigger.interval,
            dtstart=_aligned(start, begin, trigger),
            wkst=rrule.MO,
            byhour=pattern["hours"],
            byminute=pattern["minutes"],
            bysecond=pattern["seconds"],
            byweekday=pattern["week_days"],
            bymonthday=pattern["month_days"],
        )
        return (wall for wall in rule.xafter(begin, inc=True) if wall >= start)

    def _pattern(self, trigger: RecurrenceTrigger) -> dict[str, list[int] | None]:
        """What the file says, else what its start says."""
        given, start = trigger.schedule, self._anchor
        frequency = trigger.frequency
        pattern: dict[str, list[int] | None] = {
            "hours": [start.hour] if given is None else given.hours,
            "minutes": [start.minute] if given is None else given.minutes,
            "seconds": [start.second] if given is None else [0],
            "week_days": None,
            "month_days": None,
        }
        if given is not None and given.week_days:
            pattern["week_days"] = [WEEK_DAYS.index(day) for day in given.week_days]
        elif frequency == "week":
            pattern["week_days"] = [start.weekday()]
        if frequency == "month":
            days = given.month_days if given is not None else None
            pattern["month_days"] = days or [start.day]
        return pattern

    def _moment(self, text: str | None, key: str) -> datetime | None:
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise refuse(f"trigger.{key}", "This is no time such as 2026-01-31T08:00:00.") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return moment.astimezone(UTC)


def find_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name (`Europe/Berlin`) or Windows name, as Azure writes it."""
    known = win_tz.get(name, name)
    try:
        return ZoneInfo(known)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = nearest(name, win_tz) or nearest(name, set(win_tz.values()))
        hint = f" Did you mean '{close}'?" if close else " Write it as Europe/Berlin."
        raise refuse("trigger.time_zone", f"There is no time zone '{name:.80}'.{hint}") from None


def _check_cron(expression: str) -> None:
    try:
        if len(expression.split()) != 5:
            raise CronSimError("it has not five fields")
        # what never comes (30 February) is found by asking for it
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise _bad_cron(expression, str(error)) from None
    except StopIteration:
        raise _bad_cron(expression, "it is never due") from None


def _bad_cron(expression: str, why: str) -> SpecError:
    return refuse(
        "trigger.expression",
        f"'{expression:.80}' is no cron expression: {why}. Fields: minute, hour, day of month, "
        "month, day of week.",
    )


def _aligned(start: datetime, begin: datetime, trigger: RecurrenceTrigger) -> datetime:
    """A start of the same rhythm close before `begin`, so that years need not be counted through.

    rrule counts from it: whole days, weeks from their Monday, months from their first.
    """
    first = datetime.combine(start.date(), datetime.min.time())
    if trigger.frequency == "month":
        months = (begin.year - start.year) * 12 + begin.month - start.month
        months = max(0, months - 1) // trigger.interval * trigger.interval
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        return datetime.combine(date(year, month + 1, 1), datetime.min.time())
    days = trigger.interval * (7 if trigger.frequency == "week" else 1)
    if trigger.frequency == "week":
        first -= timedelta(days=first.weekday())
    passed = max(0, (begin - first).days - days) // days * days
    return first + timedelta(days=passed)
