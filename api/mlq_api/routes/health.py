"""Health, readiness, metrics, and the server's examination of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ParamSpec

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection

import mlq
from mlq.db.migrate import current_revision, head_revision, require_current
from mlq.db.queries import health
from mlq.db.queries import queues as queue_query
from mlq.db.queries.versions import versions
from mlq.errors import MlqError
from mlq.testing import invariants, outputs
from mlq_api.access import ADMIN, BY_METHOD, OPEN
from mlq_api.operations import PROBLEMS, content
from mlq_api.probes import outcome_of
from mlq_api.schemas import Doctor, Health, Readiness
from mlq_api.server import Server, server_of
from mlq_api.wire import json_response

router = APIRouter(tags=["health"], responses=PROBLEMS)

_CLOCK_SKEW_S = 2.0
_EXAMINE_S = 8.0
_SHOWN_VIOLATIONS = 20
_KINDS = {"worker": "worker", "api": "API", "serve": "model server"}
_REPLACE_ME = "upgraded, replace this process"

P = ParamSpec("P")


@router.get(
    "/healthz", response_model=Health, summary="Whether the process lives", dependencies=[OPEN]
)
async def healthz(request: Request) -> Response:
    """Open to all; asks nobody else, so it answers while the database hangs."""
    return json_response({"status": "ok", "version": mlq.__version__})


@router.get(
    "/readyz",
    response_model=Readiness,
    summary="Whether requests can be served",
    dependencies=[OPEN],
    responses={503: {"model": Readiness, "description": "Not now; `checks` says why."}},
)
async def readyz(request: Request) -> Response:
    """Open to all. A broker that is down does not make it unready: jobs are accepted and wait.

    Nor does a database that a newer version has upgraded under it: this process is about to be
    replaced, and what the next version adds is not in its way.
    """
    server = server_of(request)
    names = ("database", "broker", "artifacts")
    outcomes = await asyncio.gather(
        _database_outcome(server),
        server.broker_probe.outcome(),
        server.store_probe.outcome(),
    )
    checks = dict(zip(names, outcomes, strict=True))
    is_ready = checks["database"] in ("ok", _REPLACE_ME) and checks["artifacts"] == "ok"
    status = "ok" if set(checks.values()) == {"ok"} else "degraded" if is_ready else "unavailable"
    return json_response({"status": status, "checks": checks}, status=200 if is_ready else 503)


async def _database_outcome(server: Server) -> str:
    outcome = await outcome_of(server.read(require_current))
    if outcome == "ok":
        server.was_current = True
    return _REPLACE_ME if outcome == "database_newer" and server.was_current else outcome


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[BY_METHOD],
    responses=content("text/plain", example='mlq_queue_waiting{queue="cpu"} 3.0\n'),
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    """Queues, workers and jobs from the database; requests of this process."""
    server = server_of(request)
    text = await server.observer.render(server)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/doctor",
    response_model=Doctor,
    summary="What the server finds when it examines itself",
    dependencies=[ADMIN],
)
async def doctor(request: Request, audit: bool = False) -> Response:
    """Database, broker, artifact store, workers and clocks; each finding with its fix.

    With `audit` also the promises: it replays the whole history and reads every output, which may
    take minutes.
    """
    server = server_of(request)
    examined = await asyncio.gather(
        _finding("database", server.read(_examine_database), fix="Run `mlq db upgrade`."),
        _finding("clock", server.read(_examine_clock), fix="Let NTP set both clocks."),
        _finding("workers", server.read(_examine_workers), fix="Start one: `mlq worker -Q cpu`."),
        _finding(
            "versions",
            server.read(_examine_versions),
            fix="Bring all to one version, one after the other: `Upgrade` in docs/operations.md.",
        ),
        _examine_queues(server),
        _finding(
            "broker",
            server.checks.call(_timed, server.broker.check),
            fix="Start it, or mend MLQ_BROKER_URL; jobs are kept meanwhile.",
        ),
        _finding(
            "artifacts",
            server.checks.call(_timed, server.store.check),
            fix="Make MLQ_ARTIFACT_URL writable.",
        ),
    )
    checks = [*examined]
    if audit:
        checks += [
            await _audited("promises", server, invariants.audit, server.database),
            await _audited("outputs", server, outputs.audit, server.database, server.store),
        ]
    return json_response({"ok": all(check["ok"] for check in checks), "checks": checks})


async def _audited(
    name: str, server: Server, audit: Callable[P, list[str]], *args: P.args, **kwargs: P.kwargs
) -> dict[str, Any]:
    violations = await server.files.call(audit, *args, **kwargs)
    shown = "; ".join(violations[:_SHOWN_VIOLATIONS])
    more = len(violations) - _SHOWN_VIOLATIONS
    return {
        "name": name,
        "ok": not violations,
        "detail": f"{shown}; and {more} more" if more > 0 else shown or "kept by every job",
        "fix": "Keep the database as it is and report this: mlq broke a promise."
        if violations
        else "",
    }


async def _finding(
    name: str, check: Coroutine[Any, Any, tuple[bool, str]], *, fix: str
) -> dict[str, Any]:
    try:
        is_ok, detail = await asyncio.wait_for(check, _EXAMINE_S)
    except TimeoutError:
        is_ok, detail = False, f"no answer within {_EXAMINE_S:g} s"
    except MlqError as error:
        is_ok, detail, fix = False, error.message, error.hint or fix
    return {"name": name, "ok": is_ok, "detail": detail, "fix": "" if is_ok else fix}


def _timed(check: Callable[[], None]) -> tuple[bool, str]:
    started = time.perf_counter()
    check()
    return True, f"answers in {(time.perf_counter() - started) * 1000:.1f} ms"


def _examine_database(conn: Connection) -> tuple[bool, str]:
    started = time.perf_counter()
    found, needed = current_revision(conn), head_revision()
    took_ms = (time.perf_counter() - started) * 1000
    size = health.database_bytes(conn) / 2**20
    words = f"{conn.dialect.name} at revision {found}, {size:.1f} MiB, answers in {took_ms:.1f} ms"
    return found == needed, words if found == needed else f"{words}; {needed} is needed"


def _examine_clock(conn: Connection) -> tuple[bool, str]:
    before = time.time()
    at = health.clock(conn).timestamp()
    skew = at - (before + time.time()) / 2
    return abs(skew) < _CLOCK_SKEW_S, f"the database is {skew * 1000:+.0f} ms from this host"


def _examine_workers(conn: Connection) -> tuple[bool, str]:
    alive = queue_query.live_workers(conn)
    if not alive:
        return False, "no worker is alive"
    return True, f"{len(alive)} alive with {sum(row['slots'] for row in alive)} slots"


def _examine_versions(conn: Connection) -> tuple[bool, str]:
    found = versions(conn)
    parts = [f"{version} ({_listed(count)})" for version, count in sorted(found.items())]
    if mlq.__version__ not in found:
        parts.append(f"{mlq.__version__} (this API)")
    return len(parts) == 1, ", ".join(parts) if len(parts) == 1 else f"differ: {', '.join(parts)}"


def _listed(count: Mapping[str, int]) -> str:
    return ", ".join(
        f"{number} {_KINDS[kind]}{'s' if number > 1 else ''}" for kind, number in count.items()
    )


async def _examine_queues(server: Server) -> dict[str, Any]:
    deserted: list[str] = []

    def examine(conn: Connection) -> tuple[bool, str]:
        stuck = [row for row in queue_query.queues(conn) if row.queued and not row.workers]
        deserted[:] = [row.compute for row in stuck]
        if stuck:
            listed = ", ".join(f"{row.compute} ({row.queued} queued)" for row in stuck)
            return False, f"nobody serves {listed}"
        return True, "every compute with work has a worker"

    found = await _finding("queues", server.read(examine), fix="")
    if deserted:
        found["fix"] = f"Start a worker: {_start_workers(deserted)}."
    return found


def _start_workers(computes: Sequence[str]) -> str:
    return ", ".join(f"`mlq worker -Q {name}`" for name in computes)
