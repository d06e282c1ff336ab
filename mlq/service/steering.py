"""What people do to a sweep that has not ended: pause it, move its limits, add trials of their own.

Every function locks the sweep's tree, and raises ConflictError where there is nothing to steer: the
job is no sweep, has ended, is stopping, or is making its outputs already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import sweeps, transitions
from mlq.db.queries import jobs as query
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError, nearest
from mlq.lifecycle import TERMINAL, JobType, State, say_end
from mlq.service import jobs
from mlq.service.capacity import Windows
from mlq.service.jobs import dispatch
from mlq.spec.plan import canonical_json
from mlq.spec.sweep import DEFAULT_RUNNERS
from mlq.sweeps.distributions import Distribution
from mlq.sweeps.space import Branch, Choice, Space, parse_space

#: What may be changed, as a job file writes it.
LIMITS = ("max_total_trials", "max_concurrent_trials", "timeout")


@dataclass(frozen=True, slots=True)
class Added:
    """Trials that were added. numbers: theirs; deliveries: to publish after the commit."""

    numbers: Sequence[int]
    deliveries: list[Delivery] = field(default_factory=list)


def pause(conn: Connection, job_id: str, *, actor: str) -> None:
    """Let runners finish the trial that they are at, and start none before `resume`.

    Time goes on counting against the sweep's timeout. Nothing happens where it is paused already.
    """
    sweep = _hold(conn, job_id)
    if sweep["paused_at"] is None:
        transitions.pause(conn, sweep, actor=actor)


def resume(conn: Connection, job_id: str, *, actor: str, windows: Windows) -> list[Delivery]:
    """Let a paused sweep go on; of any other job, run again what did not succeed.

    Raises ConflictError unless the job is a paused sweep, or a finished root that did not succeed.
    """
    row = query.read(conn, job_id)
    if row["type"] != JobType.SWEEP or row["paused_at"] is None or row["state"] in TERMINAL:
        return jobs.resume(conn, job_id, actor=actor, windows=windows)
    sweep = _hold(conn, job_id)
    if sweep["paused_at"] is None:
        return []
    return dispatch(conn, transitions.unpause(conn, sweep, actor=actor), windows)


def set_limits(
    conn: Connection, job_id: str, changes: Mapping[str, Any], *, actor: str, windows: Windows
) -> list[Delivery]:
    """Raise or lower limits of a sweep; trials that have begun are finished.

    changes: some of LIMITS, as the job file has them; None takes a limit away. Fewer trials in all
    than were given out already mean those: what is added later is tried all the same.
    Raises MlqError (code `invalid`) where nothing would end the sweep any more.
    """
    sweep = _hold(conn, job_id)
    plan = _Plan.read(conn, sweep)
    timeout_s = changes.get("timeout", sweep["timeout_s"])
    own = {name: value for name, value in changes.items() if name != "timeout"}
    if (most := own.get("max_total_trials")) is not None:
        given_out = transitions.count_trials(conn, sweep["id"])
        sampled = given_out - sum(number < given_out for number in plan.added)
        own["max_total_trials"] = max(most, sampled)
    limits = {**(sweep["params"] or {}).get("limits", {}), **own}
    plan = replace(plan, limits={**plan.limits, **limits})
    if plan.total is None and timeout_s is None and plan.target is None:
        raise MlqError(
            "Nothing would end this sweep any more.",
            code="invalid",
            hint="Keep one of max_total_trials and timeout, or cancel the sweep when you have seen "
            "enough.",
        )
    if not changes:
        return []
    transitions.set_limits(
        conn, sweep, limits=limits, timeout_s=timeout_s, changed=changes, actor=actor
    )
    return dispatch(conn, _see_to_runners(conn, sweep, plan), windows)


def add_trials(
    conn: Connection,
    job_id: str,
    points: Sequence[Mapping[str, Any]],
    *,
    actor: str,
    windows: Windows,
) -> Added:
    """Try these points too, before any others; they do not count against `max_total_trials`.

    points: of each new trial, name -> value of every swept parameter; values may lie outside of
    what the search space draws. Raises MlqError (code `invalid`) for names that it does not have
    and for missing ones.
    """
    sweep = _hold(conn, job_id)
    plan = _Plan.read(conn, sweep)
    if sweep["state"] != State.RUNNING:
        raise ConflictError(
            "The sweep has not started yet.",
            hint="Add trials once it runs; `mlq job show` says what it waits for.",
        )
    for index, point in enumerate(points):
        _check_point(index, point, plan.space)
    given = [dict(point) for point in points]
    # those that are pipelines and have not been planted yet have their numbers already
    last = plan.added[-1] if plan.added else -1
    first = max(transitions.count_trials(conn, sweep["id"]), last + 1)
    numbers = range(first, first + len(given))
    if not given:
        return Added(numbers)
    if not plan.tries_pipelines:
        transitions.add_trials(
            conn,
            sweep["id"],
            numbers,
            template=sweeps.trial_columns_of_sweep(conn, sweep["id"]),
            runner_id=None,
            params=given,
        )
    transitions.note_added(
        conn, sweep, numbers, points=given if plan.tries_pipelines else None, actor=actor
    )
    plan = replace(plan, added=[*plan.added, *numbers])
    ready = _see_to_runners(conn, sweep, plan)
    return Added(numbers, dispatch(conn, ready, windows))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How far a sweep goes. added: numbers of the trials that people have added."""

    space: Space
    limits: Mapping[str, Any]
    size: int | None
    target: float | None
    added: Sequence[int]
    tries_pipelines: bool

    @classmethod
    def read(cls, conn: Connection, sweep: RowMapping) -> _Plan:
        spec = query.spec(conn, sweep["id"])
        params = sweep["params"] or {}
        space = parse_space(spec["search_space"])
        return cls(
            space=space,
            limits={**spec["limits"], **params.get("limits", {})},
            size=space.grid_size() if spec["sampling"]["type"] == "grid" else None,
            target=spec["objective"].get("target"),
            added=params.get("added", ()),
            tries_pipelines=spec["trial"].get("type") == "pipeline",
        )

    @property
    def total(self) -> int | None:
        """How many trials of the sampler there are at most; None without an end."""
        ends = [end for end in (self.limits.get("max_total_trials"), self.size) if end is not None]
        return min(ends, default=None)


def _hold(conn: Connection, job_id: str) -> RowMapping:
    """Lock the sweep's tree and read it. Raises ConflictError where it cannot be steered."""
    row = query.read(conn, job_id)
    if row["type"] != JobType.SWEEP:
        raise no_sweep(conn, row)
    sweep = transitions.hold_for_steering(conn, job_id)
    if sweep["state"] in TERMINAL:
        raise ConflictError(
            f"The sweep has ended: {say_end(sweep['state'])}.",
            hint="Submit it again with what it should try; `mlq job resume` goes on with one that "
            "did not succeed.",
        )
    if sweep["cancel_requested_at"] is not None or sweep["reason"] is not None:
        raise ConflictError("The sweep is stopping.", hint="Wait for its end: `mlq job stream`.")
    if sweep["best"] != State.PENDING:
        raise ConflictError(
            "The sweep has run all its trials and is making its outputs.",
            hint="Submit another one with what is left to try.",
        )
    return sweep


def no_sweep(conn: Connection, row: RowMapping) -> ConflictError:
    """The error for a job that should be a sweep, with the sweeps below it."""
    below = sweeps.find_sweeps(conn, row["id"])
    listed = ", ".join(f"{found['path']} ({found['id']})" for found in below)
    return ConflictError(
        f"Job '{row['path'] or row['display_name']}' is a {row['type']}, not a sweep.",
        code="not_a_sweep",
        hint=f"Its sweeps: {listed}." if below else "`mlq job list` shows what others are.",
    )


def _see_to_runners(conn: Connection, sweep: RowMapping, plan: _Plan) -> set[str]:
    """Give the sweep the runners that it needs; returns the computes on which they wait."""
    if plan.tries_pipelines:
        ready = transitions.wake(conn, sweep)
        live = transitions.count_runners(conn, sweep["id"])
        return ready | transitions.add_runners(conn, sweep, 1 - live)
    most = plan.limits.get("max_concurrent_trials") or DEFAULT_RUNNERS
    wanted = most - transitions.count_runners(conn, sweep["id"])
    if plan.total is not None:
        given_out = transitions.count_trials(conn, sweep["id"])
        left = max(0, plan.total + len(plan.added) - given_out)
        wanted = min(wanted, left + sweeps.count_waiting_trials(conn, sweep["id"]))
    return transitions.add_runners(conn, sweep, wanted)


def _check_point(index: int, point: Mapping[str, Any], space: Space) -> None:
    known = space.names()
    for name, value in point.items():
        if name not in known:
            guess = nearest(name, known)
            raise MlqError(
                f"Point {index + 1}: the search space has no parameter '{name:.100}'.",
                code="invalid",
                hint=f"Did you mean '{guess}'?" if guess else f"It has {_join(known)}.",
            )
        try:
            canonical_json(value)
        except (TypeError, ValueError) as error:
            raise MlqError(
                f"Point {index + 1}: the value of '{name}' is not JSON.", code="invalid"
            ) from error
        if _kind(value) not in (kinds := _kinds_of(space, name)):
            raise MlqError(
                f"Point {index + 1}: '{name}' is {_kind(value)} here, and {' or '.join(kinds)} in "
                "the search space.",
                code="invalid",
                hint=say_how_to_write(name, value, kinds),
            )
    missing = _names_of_every_trial(space) - point.keys()
    if missing:
        raise MlqError(
            f"Point {index + 1} has no value for {_join(missing)}.",
            code="invalid",
            hint="Give every swept parameter.",
        )


def say_how_to_write(name: str, value: Any, kinds: Sequence[str]) -> str:
    """How to write a value of another kind so that it is of one that the search space has."""
    if "text" in kinds and not isinstance(value, str | list | dict):
        point = json.dumps({name: json.dumps(value)})
        return f"As JSON it is text: {point}."
    if isinstance(value, str):
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        if _kind(read) in kinds:
            return f"Without quotes it is {_kind(read)}: {json.dumps({name: read})}."
    return f"Give '{name}' {' or '.join(kinds)}."


def _names_of_every_trial(space: Space) -> frozenset[str]:
    """Names that a trial has whatever is chosen for it."""
    found = [_names_given(name, drawn) for name, drawn in space.parameters.items()]
    return frozenset[str]().union(*found)


def _names_given(name: str, drawn: Distribution) -> frozenset[str]:
    if not isinstance(drawn, Choice):
        return frozenset({name})
    of_values = [
        _names_of_every_trial(value.space).union(value.constants)
        if isinstance(value, Branch)
        else frozenset({name})
        for value in drawn.values
    ]
    return reduce(frozenset.intersection, of_values)


def _kinds_of(space: Space, name: str) -> list[str]:
    """What kinds of values the space gives a parameter, wherever it stands in it."""
    found: set[str] = set()
    for parameter, drawn in space.parameters.items():
        if not isinstance(drawn, Choice):
            found |= {"a number"} if parameter == name else set()
            continue
        for value in drawn.values:
            if isinstance(value, Branch):
                found.update(_kinds_of(value.space, name))
                found |= {_kind(value.constants[name])} if name in value.constants else set()
            elif parameter == name:
                found.add(_kind(value))
    return sorted(found)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else "a list or mapping"


def _join(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
