"""What people change on a sweep that has not ended: paused, with other limits, with more runners.

The caller holds the tree's lock, by `hold_for_steering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    bindparam,
    func,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.engine import RowMapping

from mlq.db.events import INSERT_EVENT, event_row, record
from mlq.db.roles import IS_BEST, IS_RUNNER
from mlq.db.tables import jobs
from mlq.db.transitions.attempts import Claim
from mlq.db.transitions.cascade import lock_root
from mlq.db.types import now
from mlq.db.window import take_turns
from mlq.ids import new_id
from mlq.lifecycle import LIVE, Role, State

_IS_RUNNER = IS_RUNNER
_LIVE = sorted(LIVE)
_LIVE_RUNNERS = (
    select(jobs.c.id, jobs.c.ordinal, jobs.c.state, jobs.c.attempt, jobs.c.params)
    .where(
        jobs.c.parent_id == bindparam("sweep"),
        _IS_RUNNER,
        jobs.c.state.in_(_LIVE),
        jobs.c.ordinal < bindparam("below"),
    )
    .order_by(jobs.c.ordinal)
)
_FIRST_RUNNER = (
    select(jobs)
    .where(jobs.c.parent_id == bindparam("sweep"), _IS_RUNNER)
    .order_by(jobs.c.ordinal)
    .limit(1)
)
_LAST_PLACE = select(func.max(jobs.c.ordinal)).where(
    jobs.c.parent_id == bindparam("sweep"),
    jobs.c.role.in_((Role.RUNNER.value, Role.BEST.value)),
)
_BEST_STATE = select(jobs.c.state).where(jobs.c.parent_id == bindparam("sweep"), IS_BEST)
_DISMISS = (
    update(jobs)
    .where(jobs.c.id == bindparam("runner"))
    .values(params=bindparam("noted", type_=jobs.c.params.type))
)
_EVERY = 2**31 - 1
#: What a new runner has in common with the others.
_COMMON = (
    "root_id",
    "parent_id",
    "type",
    "role",
    "experiment",
    "component",
    "compute",
    "project",
    "demands",
    "priority",
    "spec_digest",
    "inputs",
    "tags",
    "max_failures",
    "force_rerun",
    "submitted_by",
)


def hold_for_steering(conn: Connection, sweep_id: str) -> RowMapping:
    """Lock the sweep's tree; its row as it stands now, and `best`: the state of its last leaf."""
    root_id = conn.scalar(select(jobs.c.root_id).where(jobs.c.id == sweep_id))
    assert root_id is not None, "the caller has found it"
    lock_root(conn, root_id)
    best = _BEST_STATE.scalar_subquery().label("best")
    query = select(jobs, best).where(jobs.c.id == bindparam("sweep"))
    return conn.execute(query, {"sweep": sweep_id}).mappings().one()


def pause(conn: Connection, sweep: RowMapping, *, actor: str) -> None:
    """Runners end their trial and wait; those that nobody has claimed cannot be claimed."""
    _pause_row(conn, sweep, at=now())
    # a message that is refused must not take a place in the window
    conn.execute(_of_live_runners(sweep).values(paused_at=now(), dispatched_at=None))
    _record(conn, "job.pause", sweep, actor=actor)


def unpause(conn: Connection, sweep: RowMapping, *, actor: str) -> set[str]:
    """Runners may be claimed again; returns the computes on which they wait for a message."""
    _pause_row(conn, sweep, at=null())
    conn.execute(_of_live_runners(sweep).values(paused_at=None))
    _record(conn, "job.unpause", sweep, actor=actor)
    return _rouse(conn, sweep, jobs.c.dispatched_at.is_(None))


def wake(conn: Connection, sweep: RowMapping) -> set[str]:
    """A runner that has parked looks after its trials now; returns its compute, if there is one."""
    return _rouse(conn, sweep, jobs.c.not_before.is_not(None))


def _rouse(conn: Connection, sweep: RowMapping, which: ColumnElement[bool]) -> set[str]:
    """Queued runners take their turns anew; returns the computes on which they wait."""
    rows = conn.execute(
        _of_live_runners(sweep)
        .where(jobs.c.state == State.QUEUED.value, which)
        .values(not_before=None, dispatched_at=None)
        .returning(jobs.c.id, jobs.c.compute, jobs.c.ordinal)
    ).all()
    return _wait_for_message(conn, sweep["root_id"], rows)


def set_limits(
    conn: Connection,
    sweep: RowMapping,
    *,
    limits: Mapping[str, Any],
    timeout_s: float | None,
    changed: Mapping[str, Any],
    actor: str,
) -> None:
    """Keep what the sweep is limited to from now on.

    limits: in place of those of its file; changed: what was asked for, for the history.
    """
    params = {**(sweep["params"] or {}), "limits": dict(limits)}
    values = {"params": params, "timeout_s": timeout_s}
    conn.execute(update(jobs).where(jobs.c.id == sweep["id"]).values(**values))
    _record(conn, "job.set_limits", sweep, actor=actor, detail=changed)


def note_added(
    conn: Connection,
    sweep: RowMapping,
    numbers: Sequence[int],
    *,
    points: Sequence[Mapping[str, Any]] | None,
    actor: str,
) -> None:
    """Trials of these numbers, higher than any other, are none of the sampler's points.

    points: their parameters, where they are planted later.
    """
    params = dict(sweep["params"] or {})
    params["added"] = [*params.get("added", ()), *numbers]
    if points is not None:
        given = {str(number): point for number, point in zip(numbers, points, strict=True)}
        params["points"] = {**params.get("points", {}), **given}
    conn.execute(update(jobs).where(jobs.c.id == sweep["id"]).values(params=params))
    _record(conn, "job.add_trials", sweep, actor=actor, detail={"trials": list(numbers)})


def add_runners(conn: Connection, sweep: RowMapping, count: int) -> set[str]:
    """Give the sweep `count` more runners; returns the computes on which they wait."""
    if count <= 0:
        return set()
    sibling = conn.execute(_FIRST_RUNNER, {"sweep": sweep["id"]}).mappings().one()
    place = conn.scalar(_LAST_PLACE, {"sweep": sweep["id"]}) + 1
    has_started = sweep["state"] == State.RUNNING
    above = sibling["path"].rpartition(".")[0]
    rows = []
    for ordinal in range(place, place + count):
        name = f"runner-{ordinal}"
        rows.append(
            {
                **{column: sibling[column] for column in _COMMON},
                "id": new_id(),
                "name": name,
                "display_name": name,
                "path": f"{above}.{name}".lstrip("."),
                "shadow": f"{sibling['shadow'].rpartition('.')[0]}.{name}",
                "ordinal": ordinal,
                "generation": sweep["generation"],
                "paused_at": sweep["paused_at"],
                "state": (State.QUEUED if has_started else State.PENDING).value,
            }
        )
    conn.execute(
        insert(jobs).values(
            is_leaf=True,
            waiting_on=0,
            downstreams=0,
            open_children=0,
            no_more_children=True,
            attempt=0,
            failure_count=0,
            lost_count=0,
            created_at=now(),
            queued_at=now() if has_started else None,
        ),
        rows,
    )
    conn.execute(
        update(jobs)
        .where(jobs.c.id == sweep["id"])
        .values(open_children=jobs.c.open_children + count)
    )
    if not has_started:
        return set()
    conn.execute(INSERT_EVENT, [_queued_event(row) for row in rows])
    return _wait_for_message(
        conn, sweep["root_id"], [(row["id"], row["compute"], row["ordinal"]) for row in rows]
    )


def count_runners(conn: Connection, sweep_id: str, *, below: int | None = None) -> int:
    """Runners that have or will have trials to run; below: only those of a lower ordinal."""
    place = _EVERY if below is None else below
    rows = conn.execute(_LIVE_RUNNERS, {"sweep": sweep_id, "below": place}).all()
    return sum(not _is_dismissed(row) for row in rows)


def is_surplus(conn: Connection, runner: Claim, *, most: int) -> bool:
    """Whether the sweep has `most` other runners that came before this one."""
    ordinal = conn.scalar(select(jobs.c.ordinal).where(jobs.c.id == runner.id))
    assert runner.parent_id is not None, "a runner is a sweep's child"
    assert ordinal is not None, "it was claimed"
    return count_runners(conn, runner.parent_id, below=ordinal) >= most


def dismiss(conn: Connection, runner: Claim) -> None:
    """The runner was told that nothing is left for it: it ends, and takes no trial any more.

    Between this and its end trials may be added, which are then another one's.
    """
    conn.execute(_DISMISS, {"runner": runner.id, "noted": {"dismissed": runner.attempt}})


def _is_dismissed(row: Any) -> bool:
    dismissed: int | None = (row.params or {}).get("dismissed")
    return bool(row.state == State.RUNNING and dismissed == row.attempt)


def _of_live_runners(sweep: RowMapping) -> Update:
    return update(jobs).where(jobs.c.parent_id == sweep["id"], _IS_RUNNER, jobs.c.state.in_(_LIVE))


def _pause_row(conn: Connection, sweep: RowMapping, *, at: Any) -> None:
    conn.execute(update(jobs).where(jobs.c.id == sweep["id"]).values(paused_at=at))


def _wait_for_message(conn: Connection, root_id: str, rows: Sequence[Any]) -> set[str]:
    waiting: dict[str, dict[str, int]] = {}
    for job_id, compute, ordinal in rows:
        waiting.setdefault(compute, {})[job_id] = ordinal
    for compute, leaves in waiting.items():
        take_turns(conn, root_id, compute, leaves)
    return set(waiting)


def _queued_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return event_row(
        "job.queue",
        job_id=row["id"],
        root_id=row["root_id"],
        attempt=0,
        generation=row["generation"],
        state=row["state"],
    )


def _record(
    conn: Connection,
    kind: str,
    sweep: RowMapping,
    *,
    actor: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(
        conn,
        kind,
        job_id=sweep["id"],
        root_id=sweep["root_id"],
        generation=sweep["generation"],
        actor=actor,
        detail=detail,
    )
