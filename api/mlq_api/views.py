"""Rows of the database as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import job_git, sweeps
from mlq.db.job_git import GitRecord
from mlq.db.queries import columns, queues
from mlq.db.queries import jobs as query
from mlq.db.workers import SILENT_AFTER_S
from mlq.lifecycle import HIDDEN_ROLES, JobType, Role
from mlq.spec import Plan
from mlq_api.git_schemas import git_view
from mlq_api.sweep_views import sweep_view, sweep_views
from mlq_api.wire import iso

#: Children shown inside their parent; the rest is at `/children`.
MAX_CHILDREN = 1000
MAX_DEPTH = 8
_TIMES = ("created_at", "queued_at", "started_at", "finished_at", "cancel_requested_at")


def job_tree(conn: Connection, job_id: str, *, depth: int) -> dict[str, Any]:
    """A job with `depth` levels of children. Raises NotFoundError.

    A sweep has a summary in place of its trials, which are too many to come along.
    """
    root = query.read(conn, job_id)
    levels = [[root]]
    while len(levels) <= depth:
        parents = [row["id"] for row in levels[-1] if _has_steps(row)]
        if not parents:
            break
        levels.append(query.children(conn, parents, limit=MAX_CHILDREN))
    rows = [row for level in levels for row in level]
    shown = {view["id"]: view for view in job_views(conn, rows)}
    for sweep_id, view in sweep_views(conn, [r for r in rows if _is_sweep(r)]).items():
        shown[sweep_id]["sweep"] = view
    for row in rows:
        if _has_steps(row):
            shown[row["id"]].setdefault("children", [])
        if row is not root:
            shown[row["parent_id"]].setdefault("children", []).append(shown[row["id"]])
    if root["parent_id"] is None:
        shown[root["id"]]["git"] = git_view(job_git.find(conn, root["id"]))
    return shown[root["id"]]


def _is_sweep(row: RowMapping | Mapping[str, Any]) -> bool:
    return bool(row["type"] == JobType.SWEEP)


def _has_steps(row: RowMapping | Mapping[str, Any]) -> bool:
    return not row["is_leaf"] and not _is_sweep(row)


def submitted_tree(
    rows: Sequence[Mapping[str, Any]], plan: Plan, *, git: GitRecord | None = None
) -> dict[str, Any]:
    """The answer to a submission: as `job_tree` with one level, without asking the database.

    rows: of the tree as it was stored, in the order of the plan. git: what came with it. Why a
    queued step waits is left open: a moment later is soon enough for that.
    """
    root_row = {**rows[0], "now": rows[0]["created_at"]}
    root = _job_view(root_row, metrics={}, upstreams=(), waiting_for=None)
    root["git"] = git_view(git)
    if _is_sweep(rows[0]):
        root["sweep"] = sweep_view(rows[0], plan.jobs[0].spec, counts={}, best=None)
    children = []
    steps = [job for job in plan.jobs if job.parent == 0 and job.role not in HIDDEN_ROLES]
    for job in sorted(steps, key=attrgetter("ordinal"))[:MAX_CHILDREN]:
        row = rows[job.index]
        waits = [plan.jobs[index].name for index in job.upstreams]
        words = f"waiting for {queues.listed(waits)}" if waits else None
        view = _job_view(
            {**row, "now": row["created_at"]},
            metrics={},
            upstreams=[rows[index]["id"] for index in job.upstreams],
            waiting_for=words if row["state"] == "pending" else None,
        )
        if _is_sweep(row):
            view["sweep"] = sweep_view(row, job.spec, counts={}, best=None)
        if _has_steps(row):
            view["children"] = []
        children.append(view)
    if _has_steps(rows[0]):
        root["children"] = children
    return root


def job_views(
    conn: Connection, rows: Sequence[RowMapping], *, of_steps: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Jobs without their children; rows carry the database's time as `now`.

    of_steps: metrics that jobs with steps get from these, and sweeps from the best of their trials.
    """
    ids = [row["id"] for row in rows]
    started = [row["id"] for row in rows if row["started_at"] is not None]
    metrics = dict(query.newest_metrics(conn, started)) if started else {}
    if of_steps:
        _add_metrics(conn, rows, metrics, of_steps)
    with_upstreams = [row["id"] for row in rows if row["parent_id"] is not None]
    upstreams = query.upstreams(conn, with_upstreams) if with_upstreams else {}
    words = queues.waiting_words(conn, rows) if ids else {}
    return [
        _job_view(
            row,
            metrics=metrics.get(row["id"], {}),
            upstreams=upstreams.get(row["id"], []),
            waiting_for=words.get(row["id"]),
        )
        for row in rows
    ]


def _add_metrics(
    conn: Connection,
    rows: Sequence[RowMapping],
    metrics: dict[str, dict[str, float]],
    wanted: Sequence[str],
) -> None:
    parents = [row["id"] for row in rows if _has_steps(row)]
    for job_id, found in columns.step_metrics(conn, parents, wanted).items():
        metrics[job_id] = {**found, **metrics.get(job_id, {})}
    swept = [row for row in rows if _is_sweep(row) and row["value"] is not None]
    specs = query.specs_of(conn, swept) if swept else {}
    for row in swept:
        name = specs[row["spec_digest"]]["objective"]["primary_metric"]
        if name in wanted:
            metrics[row["id"]] = {name: row["value"], **metrics.get(row["id"], {})}


def _job_view(
    row: RowMapping | Mapping[str, Any],
    *,
    metrics: Mapping[str, float],
    upstreams: Sequence[str],
    waiting_for: str | None,
) -> dict[str, Any]:
    duration = None
    if row["started_at"] is not None:
        ended = row["finished_at"] or row["now"]
        duration = max(0.0, (ended - row["started_at"]).total_seconds())
    return {
        "id": row["id"],
        "type": row["type"],
        "name": row["name"],
        "path": row["path"],
        "display_name": row["display_name"],
        "experiment_name": row["experiment"],
        "state": row["state"],
        "reason": row["reason"],
        "error": row["error"],
        "waiting_for": waiting_for,
        "compute": row["compute"],
        "component": row["component"],
        "attempt": row["attempt"],
        "generation": row["generation"],
        "priority": row["priority"],
        "worker": row["worker"],
        "inputs": {name: _input_view(value) for name, value in (row["inputs"] or {}).items()},
        "outputs": output_views(row["id"], row["outputs"]),
        "params": _params(row),
        "metrics": metrics,
        "tags": row["tags"] or {},
        "parent_id": row["parent_id"],
        "root_id": row["root_id"],
        "submitted_by": row["submitted_by"],
        **{name: iso(row[name]) for name in _TIMES},
        "archived_at": iso(row["archived_at"]),
        "duration_s": duration,
        "upstreams": list(upstreams),
    }


def _params(row: RowMapping | Mapping[str, Any]) -> Mapping[str, Any]:
    if row["role"] == Role.TRIAL:
        return sweeps.swept_params(row) or {}
    return {} if _is_sweep(row) else row["params"] or {}


def _input_view(stored: Mapping[str, Any]) -> dict[str, Any]:
    if "asset" in stored:
        asset = stored["asset"]
        return {"type": stored.get("type"), "uri": asset.get("uri"), "digest": asset.get("digest")}
    if "address" in stored:
        return {"type": stored.get("type"), "uri": stored["address"]}
    if "late" in stored:
        return {"type": stored.get("type"), "uri": stored["late"]}
    return dict(stored)


def output_views(job_id: str, outputs: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """A job's outputs, with the address of those that are bytes."""
    return {
        name: (
            {**output, "url": f"/v1/jobs/{job_id}/outputs/{quote(name, safe='')}"}
            if "digest" in output
            else dict(output)
        )
        for name, output in (outputs or {}).items()
    }


def metric_view(row: RowMapping) -> dict[str, Any]:
    """One logged value of a metric."""
    return {
        "key": row["key"],
        "step": row["step"],
        "value": row["value"],
        "at": iso(row["at"]),
        "attempt": row["attempt"],
    }


def worker_view(row: RowMapping) -> dict[str, Any]:
    """A worker; one that has been silent for long is offline, whatever it said."""
    is_silent = (row["now"] - row["seen_at"]).total_seconds() > SILENT_AFTER_S
    return {
        "id": row["id"],
        "name": row["name"],
        "host": row["host"],
        "pid": row["pid"],
        "version": row["version"],
        "computes": row["computes"],
        "slots": row["slots"],
        "busy": 0 if is_silent else row["busy"],
        "cores": row["cores"],
        "memory_bytes": row["memory_bytes"],
        "gpus": row["gpus"],
        "state": "offline" if is_silent else row["state"],
        "drain_requested_at": iso(row["drain_requested_at"]),
        "started_at": iso(row["started_at"]),
        "seen_at": iso(row["seen_at"]),
    }


def server_view(row: RowMapping) -> dict[str, Any]:
    """An API or a model server that lives."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "host": row["host"],
        "pid": row["pid"],
        "version": row["version"],
        "started_at": iso(row["started_at"]),
        "seen_at": iso(row["seen_at"]),
    }


def queue_view(queue: queues.Queue) -> dict[str, Any]:
    """A queue as it stands."""
    return {
        "compute": queue.compute,
        "queued": queue.queued,
        "outstanding": queue.outstanding,
        "running": queue.running,
        "slots": queue.slots,
        "busy": queue.busy,
        "workers": queue.workers,
        "oldest_queued_s": queue.oldest_queued_s,
    }


def page_of(
    views: Sequence[Mapping[str, Any]], *, limit: int, cursors: Iterable[object]
) -> dict[str, Any]:
    """A page: up to `limit` of the views (read with one more), and the cursor of the next.

    cursors: for each view what a reader passes to go on after it.
    """
    marks = list(cursors)
    more = len(views) > limit
    return {"items": list(views[:limit]), "next_cursor": str(marks[limit - 1]) if more else None}
