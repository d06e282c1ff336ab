"""All statements over batch endpoints, the versions of their deployments, and invocations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.projects import names_of
from mlq.db.tables import batch_deployments, batch_endpoints, batch_invocations, jobs
from mlq.db.types import now
from mlq.db.upsert import conflict_insert
from mlq.lifecycle import State


def find_endpoint(conn: Connection, name: str) -> RowMapping | None:
    """A batch endpoint, or None."""
    query = select(batch_endpoints).where(batch_endpoints.c.name == name)
    return conn.execute(query).mappings().one_or_none()


def endpoint_names(conn: Connection) -> list[str]:
    """Names of all batch endpoints."""
    return list(conn.scalars(select(batch_endpoints.c.name).order_by(batch_endpoints.c.name)))


def page_endpoints(
    conn: Connection, *, limit: int, after: str | None = None, project: str | None = None
) -> Sequence[RowMapping]:
    """Batch endpoints by name; after: the last name of a page."""
    query = select(batch_endpoints).where(names_of("batch", project))
    query = query.order_by(batch_endpoints.c.name).limit(limit)
    if after is not None:
        query = query.where(batch_endpoints.c.name > after)
    return conn.execute(query).mappings().all()


def put_endpoint(conn: Connection, values: Mapping[str, Any]) -> bool:
    """Store an endpoint; True when it was not there before."""
    table = batch_endpoints
    changed = {key: value for key, value in values.items() if key not in ("name", "created_by")}
    done = conn.execute(
        update(table).where(table.c.name == values["name"]).values({**changed, "updated_at": now()})
    ).rowcount
    if done:
        return False
    conn.execute(
        conflict_insert(conn, table)
        .values({**values, "created_at": now(), "updated_at": now()})
        .on_conflict_do_nothing()
    )
    return True


def set_default(conn: Connection, name: str, *, deployment: str | None) -> None:
    """Say which deployment is invoked where none is named."""
    conn.execute(
        update(batch_endpoints)
        .where(batch_endpoints.c.name == name)
        .values(default_deployment=deployment, updated_at=now())
    )


def remove_endpoint(conn: Connection, name: str) -> None:
    """Remove an endpoint with its deployments; the jobs stay."""
    for table in (batch_invocations, batch_deployments):
        conn.execute(delete(table).where(table.c.endpoint == name))
    conn.execute(delete(batch_endpoints).where(batch_endpoints.c.name == name))


def newest_deployments(conn: Connection, endpoints: Sequence[str]) -> Sequence[RowMapping]:
    """The newest version of every deployment of these endpoints."""
    table = batch_deployments
    newest = (
        select(table.c.endpoint, table.c.name, func.max(table.c.version).label("version"))
        .where(table.c.endpoint.in_(endpoints))
        .group_by(table.c.endpoint, table.c.name)
        .subquery()
    )
    query = select(table).join(
        newest,
        and_(
            newest.c.endpoint == table.c.endpoint,
            newest.c.name == table.c.name,
            newest.c.version == table.c.version,
        ),
    )
    return conn.execute(query.order_by(table.c.endpoint, table.c.name)).mappings().all()


def find_deployment(
    conn: Connection, endpoint: str, name: str, *, version: int | None = None
) -> RowMapping | None:
    """A version of a deployment, the newest by default."""
    table = batch_deployments
    query = select(table).where(table.c.endpoint == endpoint, table.c.name == name)
    if version is not None:
        query = query.where(table.c.version == version)
    return conn.execute(query.order_by(table.c.version.desc()).limit(1)).mappings().one_or_none()


def add_deployment(conn: Connection, values: Mapping[str, Any]) -> None:
    """Store a version; the caller holds the endpoint's row."""
    conn.execute(insert(batch_deployments).values({**values, "created_at": now()}))


def lock_endpoint(conn: Connection, name: str) -> None:
    """One at a time numbers the versions of its deployments."""
    conn.execute(
        select(batch_endpoints.c.name).where(batch_endpoints.c.name == name).with_for_update()
    )


def remove_deployment(conn: Connection, endpoint: str, name: str) -> None:
    """Remove all versions of a deployment; the jobs stay."""
    conn.execute(
        delete(batch_invocations).where(
            batch_invocations.c.endpoint == endpoint, batch_invocations.c.deployment == name
        )
    )
    conn.execute(
        delete(batch_deployments).where(
            batch_deployments.c.endpoint == endpoint, batch_deployments.c.name == name
        )
    )


def note_invocation(conn: Connection, values: Mapping[str, Any]) -> None:
    """Remember which deployment a job was invoked through."""
    conn.execute(insert(batch_invocations).values({**values, "at": now()}))


def page_invocations(
    conn: Connection, endpoint: str, *, limit: int, before: str | None = None
) -> Sequence[RowMapping]:
    """Invocations, newest first, with the state of their jobs; before: the last job of a page."""
    query = (
        select(batch_invocations, jobs.c.state, jobs.c.reason)
        .join(jobs, jobs.c.id == batch_invocations.c.job_id)
        .where(batch_invocations.c.endpoint == endpoint)
        .order_by(batch_invocations.c.job_id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(batch_invocations.c.job_id < before)
    return conn.execute(query).mappings().all()


def is_invocation(conn: Connection, endpoint: str, job_id: str) -> bool:
    """Whether a job was invoked through this endpoint."""
    query = select(batch_invocations.c.job_id).where(
        batch_invocations.c.endpoint == endpoint, batch_invocations.c.job_id == job_id
    )
    return conn.execute(query).first() is not None


def newest_success(conn: Connection, endpoint: str) -> str | None:
    """The newest invocation of an endpoint that succeeded."""
    return conn.scalar(
        select(batch_invocations.c.job_id)
        .join(jobs, jobs.c.id == batch_invocations.c.job_id)
        .where(batch_invocations.c.endpoint == endpoint, jobs.c.state == State.SUCCEEDED.value)
        .order_by(batch_invocations.c.job_id.desc())
        .limit(1)
    )
