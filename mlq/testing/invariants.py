"""What must hold in the database at any moment between two transactions.

Recounts everything that the transitions keep up to date by counting along, and replays the history
against the lifecycle. Reads whole tables: for tests and for looking into a broken installation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from mlq.db.engine import Database
from mlq.db.tables import events, job_edges, jobs
from mlq.db.transitions import items, rounds
from mlq.db.transitions.rounds import Verdict
from mlq.lifecycle import LIVE, TERMINAL, TRANSITIONS, JobType, Reason, Role, State


def audit(database: Database) -> list[str]:
    """`check` as of one moment, for a database that others write to meanwhile."""
    with database.read() as conn:
        if not database.is_sqlite:
            conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return check(conn)


def check(conn: Connection) -> list[str]:
    """Every violation as a sentence that names the job; an empty list when all is well."""
    forest = _Forest.read(conn)
    violations: list[str] = []
    for job in forest.jobs.values():
        where = f"{job.id} ({job.path or 'root'}, {job.state})"
        rules = (*_RULES, *(_LEAF_RULES if job.is_leaf else _INNER_RULES))
        violations += [f"{where}: {text}" for rule in rules for text in rule(forest, job)]
    # Not in the order of `read_after`: a transaction may have got its number before it waited for
    # the tree's lock, while an event gets its id under that lock.
    history = conn.execute(select(events).where(events.c.job_id.is_not(None)).order_by(events.c.id))
    return violations + list(_replay(forest, history.all()))


@dataclass(frozen=True, slots=True)
class _Forest:
    """All jobs with their relations."""

    jobs: Mapping[str, Any]
    children: Mapping[str, list[Any]]
    upstreams: Mapping[str, list[Any]]
    downstreams: Mapping[str, list[Any]]

    @classmethod
    def read(cls, conn: Connection) -> _Forest:
        rows = {row.id: row for row in conn.execute(select(jobs))}
        children: dict[str, list[Any]] = defaultdict(list)
        upstreams: dict[str, list[Any]] = defaultdict(list)
        downstreams: dict[str, list[Any]] = defaultdict(list)
        for row in rows.values():
            if row.parent_id is not None:
                children[row.parent_id].append(row)
        for edge in conn.execute(select(job_edges)):
            upstreams[edge.downstream].append(rows[edge.upstream])
            downstreams[edge.upstream].append(rows[edge.downstream])
        return cls(rows, children, upstreams, downstreams)


def _counters(forest: _Forest, job: Any) -> Iterator[str]:
    if job.downstreams != len(forest.downstreams[job.id]):
        yield f"downstreams is {job.downstreams}, not {len(forest.downstreams[job.id])}"
    open_upstreams = sum(row.state != State.SUCCEEDED for row in forest.upstreams[job.id])
    if job.role in (Role.BEST, Role.ITEM, Role.COLLECT):
        open_upstreams += job.state == State.PENDING  # it waits for others, without edges
    if job.role == Role.ROUND and job.state == State.PENDING:
        before = _rounds(forest, job.parent_id)[: job.ordinal]
        open_upstreams += any(row.state != State.SUCCEEDED for row in before)
    if job.role == Role.FINALLY and job.state == State.PENDING:
        open_upstreams += _has_steps_left(forest, job)
    if job.state in (State.PENDING, State.QUEUED, State.RUNNING, State.SUCCEEDED):
        if job.waiting_on != open_upstreams:
            yield f"waiting_on is {job.waiting_on}, not {open_upstreams}"
        if job.state != State.PENDING and open_upstreams:
            yield f"went on although {open_upstreams} upstreams have not succeeded"
    if job.waiting_on < 0 or job.open_children < 0:
        yield f"a counter is negative: {job.waiting_on=}, {job.open_children=}"


def _finally(forest: _Forest, job: Any) -> Iterator[str]:
    began = job.role == Role.FINALLY and job.state in (State.QUEUED, State.RUNNING)
    if began and _has_steps_left(forest, job):
        yield "runs although other steps have not ended"


def _has_steps_left(forest: _Forest, job: Any) -> bool:
    """Whether there is something that a `finally` step waits for."""
    siblings = forest.children[job.parent_id]
    return forest.jobs[job.parent_id].state == State.PENDING or any(
        row.role != Role.FINALLY and row.state in LIVE for row in siblings
    )


def _times(forest: _Forest, job: Any) -> Iterator[str]:
    if (job.state in TERMINAL) != (job.finished_at is not None):
        yield f"finished_at is {job.finished_at}"
    is_leased = job.is_leaf and job.state == State.RUNNING and job.role != Role.TRIAL
    if (job.lease_expires_at is not None) != is_leased:
        yield f"lease_expires_at is {job.lease_expires_at}"
    if job.dispatched_at is not None and job.state != State.QUEUED:
        yield "has a message outstanding"
    if job.not_before is not None and job.state != State.QUEUED:
        yield "has not_before"


def _cancel(forest: _Forest, job: Any) -> Iterator[str]:
    if job.cancel_requested_at is not None and job.state in (
        State.PENDING,
        State.QUEUED,
        State.SUCCEEDED,
    ):
        yield "a cancel was requested"


def _ended_tree(forest: _Forest, job: Any) -> Iterator[str]:
    parent = forest.jobs.get(job.parent_id)
    if parent is not None and job.state in LIVE and parent.state in TERMINAL:
        yield f"lives on although its parent is {parent.state}"


def _stuck(forest: _Forest, job: Any) -> Iterator[str]:
    if job.state != State.PENDING:
        return
    parent = forest.jobs.get(job.parent_id)
    started = parent is None or parent.state == State.RUNNING
    if started and job.waiting_on == 0:
        yield "has nothing to wait for, and yet is pending"
    if job.role == Role.ROUND and started and _verdict(forest, parent) != Verdict.WAIT:
        yield "nothing starts it: no round before it is under way"
    for row in forest.upstreams[job.id]:
        if row.state in TERMINAL and row.state != State.SUCCEEDED:
            yield f"waits for {row.path}, which is {row.state}"


def _skipped(forest: _Forest, job: Any) -> Iterator[str]:
    if job.state != State.SKIPPED:
        return
    parent = forest.jobs.get(job.parent_id)
    because_of_upstream = any(
        row.state in (State.FAILED, State.CANCELED, State.SKIPPED)
        for row in forest.upstreams[job.id]
    )
    because_of_parent = parent is not None and (
        parent.state == State.SKIPPED
        or (
            (parent.params or {}).get("stop_on_failure")
            and any(row.state == State.FAILED for row in forest.children[parent.id])
        )
    )
    because_of_runner = job.role == Role.BEST and any(
        row.role == Role.RUNNER and row.state == State.FAILED
        for row in forest.children[job.parent_id]
    )
    because_of_item = job.role == Role.COLLECT and any(
        row.state in TERMINAL and row.state != State.SUCCEEDED
        for row in forest.children[job.parent_id]
        if row.role in (Role.EXPAND, Role.ITEM)
    )
    because_of_round = job.role == Role.ROUND and (
        _verdict(forest, parent)
        == (Verdict.GOOD if job.reason == Reason.CONDITION else Verdict.STOP)
    )
    because_of_upstream = because_of_upstream or any(
        row.type == JobType.IF_ELSE and row.state == State.SUCCEEDED
        for row in forest.upstreams[job.id]
    )
    if not (
        because_of_upstream
        or because_of_parent
        or because_of_runner
        or because_of_round
        or because_of_item
    ):
        yield "nothing explains why"


def _leaf(forest: _Forest, job: Any) -> Iterator[str]:
    parent = forest.jobs.get(job.parent_id)
    active = job.state in (State.QUEUED, State.RUNNING)
    if active and parent is not None and parent.state != State.RUNNING:
        yield f"its parent is {parent.state}"
    if job.open_children:
        yield f"a leaf with {job.open_children} open children"
    if job.failure_count > job.max_failures:
        yield f"failed {job.failure_count} times of {job.max_failures}"
    if job.attempt < job.failure_count + job.lost_count:
        yield f"{job.attempt} attempts ended {job.failure_count} + {job.lost_count} times"
    if job.state == State.SUCCEEDED and job.attempt == 0:
        yield "was never claimed"


def _inner(forest: _Forest, job: Any) -> Iterator[str]:
    children = forest.children[job.id]
    open_children = sum(row.state in LIVE and not _is_held(row) for row in children)
    if job.state in LIVE and job.open_children != open_children:
        yield f"open_children is {job.open_children}, not {open_children}"
    if job.state == State.QUEUED or job.attempt:
        yield f"an inner job in attempt {job.attempt}"
    if job.state == State.RUNNING and not open_children and job.no_more_children:
        yield "has no open child, and yet has not closed"
    if job.state == State.PENDING and any(
        row.state in (State.QUEUED, State.RUNNING) for row in children
    ):
        yield "children were released before it started"


def _items(forest: _Forest, job: Any) -> Iterator[str]:
    rule = (job.params or {}).get("spread")
    if not rule or job.state != State.RUNNING:
        return
    children = sorted(forest.children[job.id], key=lambda row: row.ordinal)
    busy = sum(
        row.role == Role.ITEM and row.state in LIVE and row.state != State.PENDING
        for row in children
    )
    if rule["max_concurrency"] is not None and busy > rule["max_concurrency"]:
        yield f"{busy} items at once"
    following = items.find_next(children, rule)
    if following != items.Next():
        yield f"nothing does what comes next: {following}"


def _rounds(forest: _Forest, job_id: str) -> list[Any]:
    """The rounds of a repeated job, in order."""
    found = [row for row in forest.children[job_id] if row.role == Role.ROUND]
    return sorted(found, key=lambda row: row.ordinal)


def _verdict(forest: _Forest, repeated: Any) -> Verdict:
    return rounds.judge(_rounds(forest, repeated.id), repeated.params["rounds"])[0]


def _is_held(job: Any) -> bool:
    """Whether it is a trial that only its runner counts."""
    return bool(job.role == Role.TRIAL and job.is_leaf)


def _trial(forest: _Forest, job: Any) -> Iterator[str]:
    if not _is_held(job) or job.state not in LIVE:
        return
    runner = forest.jobs.get(job.runner_id)
    if job.state == State.RUNNING and runner is None:
        yield "runs, and nobody holds it"
    if runner is not None and runner.state != State.RUNNING:
        yield f"is held by a runner that is {runner.state}"


def _outcome(forest: _Forest, job: Any) -> Iterator[str]:
    if job.state not in TERMINAL or job.state == State.SKIPPED or job.type in _CHILDLESS:
        return
    # a sweep's trials are its results, and its runners may be stopped when it has what it wants
    telling = [row for row in forest.children[job.id] if row.role != Role.TRIAL]
    repeated = (job.params or {}).get("rounds")
    if repeated:
        bad, _ = rounds.conclude(_rounds(forest, job.id), repeated)
        telling = [bad] if bad is not None else []
    failed = [row for row in telling if row.state == State.FAILED]
    canceled = any(row.state == State.CANCELED for row in telling if row.role != Role.RUNNER)
    if job.cancel_requested_at is not None:
        expected = State.CANCELED
    elif failed or (job.reason == Reason.TIMEOUT and job.type != JobType.SWEEP):
        expected = State.FAILED
    elif canceled:
        expected = State.CANCELED
    elif job.role == Role.TRIAL and job.value is None:
        expected = State.FAILED  # a trial without its metric
    else:
        expected = State.SUCCEEDED
    if job.state != expected:
        yield f"its children add up to {expected}"
    if job.state == State.FAILED and failed:
        first = min(failed, key=lambda row: (row.finished_at, row.id))
        if job.reason != first.reason:
            yield f"its reason is {job.reason}, the first failure's is {first.reason}"


#: Inner jobs that have an outcome of their own.
_CHILDLESS = frozenset({JobType.APPROVAL, JobType.IF_ELSE})
_RULES = (_counters, _times, _cancel, _ended_tree, _stuck, _skipped)
_LEAF_RULES = (_leaf, _trial, _finally)
_INNER_RULES = (_inner, _outcome, _items)


def _replay(forest: _Forest, history: Sequence[Any]) -> Iterator[str]:
    """Whether the history is complete, follows the lifecycle and gives the states of the table."""
    # a trial is made to be run: it has no event before its first claim
    states = {
        job.id: State.QUEUED if _is_held(job) else State.PENDING for job in forest.jobs.values()
    }
    attempts = dict.fromkeys(forest.jobs, 0)
    deleted = {event.root_id for event in history if event.kind == "job.delete"}
    outcomes: set[tuple[str, int]] = set()
    for event in history:
        if event.state is None or event.kind == "job.submit" or event.root_id in deleted:
            continue
        where = f"event {event.id} ({event.kind} of {event.job_id})"
        job = forest.jobs.get(event.job_id)
        if job is None:
            yield f"{where}: there is no such job"
            continue
        leaves, enters = TRANSITIONS[event.kind.removeprefix("job.")]
        before, after = states[job.id], State(event.state)
        if before not in leaves or after not in enters:
            yield f"{where}: {before} -> {after} is not in the lifecycle"
        states[job.id] = after
        if event.kind == "job.claim":
            if event.attempt <= attempts[job.id]:
                yield f"{where}: attempt {event.attempt} after {attempts[job.id]}"
            attempts[job.id] = event.attempt
        elif job.is_leaf and before == State.RUNNING and event.attempt != attempts[job.id]:
            yield f"{where}: attempt {event.attempt} spoke in attempt {attempts[job.id]}"
        if event.kind in ("job.queue", "job.start"):
            for row in forest.upstreams[job.id]:
                if states[row.id] != State.SUCCEEDED:
                    yield f"{where}: began while {row.path} was {states[row.id]}"
        if after in TERMINAL:
            if (job.id, event.generation) in outcomes:
                yield f"{where}: a second outcome in generation {event.generation}"
            outcomes.add((job.id, event.generation))
    for job in forest.jobs.values():
        if states[job.id] != job.state:
            yield f"{job.id} ({job.path}): the history says {states[job.id]}, not {job.state}"
        if attempts[job.id] != job.attempt:
            yield f"{job.id} ({job.path}): the history says attempt {attempts[job.id]}"
