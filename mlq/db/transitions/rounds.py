"""Repeated jobs and loops: rounds one after the other, until one is the last.

Those of a repeated job have a wider budget each, and end when one is good enough; those of a loop
end when their body says so.

Pure but for `read`. What happens next is told from the rounds themselves, read in their order, so
that it does not matter which change of which round is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, bindparam, select

from mlq.db.tables import jobs
from mlq.lifecycle import LIVE, Reason, Role, State

_ROUNDS = (
    select(
        jobs.c.id,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.path,
        jobs.c.error,
        jobs.c.outputs,
        jobs.c.value,
        jobs.c.role,
    )
    .where(jobs.c.parent_id == bindparam("parent"), jobs.c.role == Role.ROUND.value)
    .order_by(jobs.c.ordinal)
)


class Verdict(Enum):
    """What the rounds of a repeated job add up to."""

    START = auto()  # all before it were not good enough: it is this round's turn
    WAIT = auto()  # this round is under way
    GOOD = auto()  # it is good enough
    STOP = auto()  # it ended in a way that another round would not mend
    EXHAUSTED = auto()  # it was the last one, and not good enough either


def read(conn: Connection, job_id: str) -> Sequence[Any]:
    """The rounds of a repeated job, in order."""
    return conn.execute(_ROUNDS, {"parent": job_id}).all()


def judge(rounds: Sequence[Any], rule: Mapping[str, Any]) -> tuple[Verdict, Any]:
    """The verdict, and the round that it is about.

    rounds: with state, reason and outputs, in order; at least one.
    rule: `condition`: the output of a loop's body that is true as long as it goes on; else `goal`:
    of repeated sweeps, which are good enough when they have reached their target; None for
    pipelines, which are when they succeed.
    """
    goal = rule["goal"]
    for one in rounds:
        if one.state == State.PENDING:
            return Verdict.START, one
        if one.state in LIVE:
            return Verdict.WAIT, one
        if rule.get("condition") is not None:
            may_go_on = one.state == State.SUCCEEDED
            is_good = may_go_on and not _says_go_on(one, rule["condition"])
        elif goal is None:
            is_good = one.state == State.SUCCEEDED
            may_go_on = one.state == State.FAILED and one.reason == Reason.REJECTED
        else:
            is_good = one.state == State.SUCCEEDED and one.reason == Reason.TARGET
            may_go_on = one.state == State.SUCCEEDED
        if is_good:
            return Verdict.GOOD, one
        if not may_go_on:
            return Verdict.STOP, one
    return Verdict.EXHAUSTED, rounds[-1]


def _says_go_on(one: Any, condition: str) -> bool:
    return bool((one.outputs or {}).get(condition, {}).get("value"))


def conclude(rounds: Sequence[Any], rule: Mapping[str, Any]) -> tuple[Any | None, Any | None]:
    """Of rounds that have all ended: (the one that failed it all, None) or (None, the winner)."""
    verdict, one = judge(rounds, rule)
    goal = rule["goal"]
    if verdict == Verdict.GOOD:
        return None, one
    if verdict == Verdict.EXHAUSTED and rule.get("condition") is not None:
        return None, one  # as often as it may
    if verdict == Verdict.EXHAUSTED and goal is not None:
        return None, _best(rounds, goal)
    return one, None


def _best(rounds: Sequence[Any], goal: str) -> Any:
    """The round with the best value; the first of equal ones."""
    measured = [one for one in rounds if one.value is not None]
    choose = max if goal == "maximize" else min
    return choose(measured, key=lambda one: one.value, default=rounds[-1])
