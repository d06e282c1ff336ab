"""Who uses what: versions of data and models in job trees, and what depends on what they made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, or_, select
from sqlalchemy.engine import RowMapping

from mlq.db.tables import (
    alias_holds,
    asset_uses,
    attempt_usage,
    batch_deployments,
    batch_invocations,
    data_numbers,
    data_versions,
    deployments,
    job_edges,
    job_git,
    jobs,
    latest_metrics,
    log_chunks,
    metrics,
    model_aliases,
    model_tags,
    model_versions,
    models,
    project_jobs,
    rollouts,
    run_links,
    run_params,
    run_tags,
    schedules,
    tracked_files,
    version_sources,
)
from mlq.db.upsert import conflict_insert
from mlq.lifecycle import LIVE

_NAMED_AT_MOST = 1000
_ANCESTORS = (
    jobs.c.id,
    jobs.c.root_id,
    jobs.c.path,
    jobs.c.display_name,
    jobs.c.component,
    jobs.c.spec_digest,
    jobs.c.state,
    jobs.c.inputs,
    jobs.c.outputs,
    jobs.c.finished_at,
)


def note(conn: Connection, uris: Iterable[str], root_id: str) -> None:
    """A new tree was given these versions of data and models."""
    rows = [{"uri": uri, "root_id": root_id} for uri in sorted(set(uris))]
    if rows:
        conn.execute(insert(asset_uses), rows)


def ancestors(conn: Connection, job_id: str) -> list[RowMapping]:
    """A job and those of its tree whose outputs came to it, the job first."""
    found: dict[str, RowMapping] = {}
    wanted = {job_id}
    while wanted:
        query = select(*_ANCESTORS).where(jobs.c.id.in_(sorted(wanted)))
        rows = conn.execute(query).mappings().all()
        found |= {row["id"]: row for row in rows}
        above = {given["job"] for row in rows for given in row["inputs"].values() if "job" in given}
        wanted = above - found.keys()
    return list(found.values())


def roots_using(conn: Connection, uri: str) -> list[RowMapping]:
    """Trees that were given a version: id, display_name, state; newest first."""
    query = (
        select(jobs.c.id, jobs.c.display_name, jobs.c.state)
        .join(asset_uses, asset_uses.c.root_id == jobs.c.id)
        .where(asset_uses.c.uri == uri)
        .order_by(jobs.c.id.desc())
        .limit(_NAMED_AT_MOST)
    )
    return list(conn.execute(query).mappings())


def live(rows: Sequence[RowMapping]) -> list[RowMapping]:
    """Those that have not ended."""
    return [row for row in rows if row["state"] in LIVE]


def versions_of_trees(conn: Connection, root_ids: Iterable[str]) -> list[RowMapping]:
    """Model versions that jobs of these trees registered: name, version, job_id, root_id."""
    found: list[RowMapping] = []
    wanted = list(root_ids)
    for start in range(0, len(wanted), 500):
        query = (
            select(
                model_versions.c.name,
                model_versions.c.version,
                model_versions.c.job_id,
                jobs.c.root_id,
            )
            .join(jobs, jobs.c.id == model_versions.c.job_id)
            .where(jobs.c.root_id.in_(wanted[start : start + 500]))
        )
        found += conn.execute(query.order_by(model_versions.c.name)).mappings()
    return found


def deployments_of(conn: Connection, name: str) -> list[RowMapping]:
    """Deployments of any version of a model: endpoint, name, alias, version."""
    query = select(deployments).where(deployments.c.model == name)
    return list(conn.execute(query.order_by(deployments.c.endpoint)).mappings())


def running_rollouts_of(conn: Connection, name: str) -> list[RowMapping]:
    """Rollouts of a model that have not ended: endpoint, version, previous."""
    query = select(rollouts).where(rollouts.c.model == name, rollouts.c.ended_at.is_(None))
    return list(conn.execute(query).mappings())


def documents_naming(conn: Connection, words: Iterable[str]) -> list[str]:
    """Schedules and batch deployments whose job files hold one of `words`, as a reader says it."""
    wanted = [json.dumps(word)[1:-1] for word in words]
    found = []
    for name, job in conn.execute(select(schedules.c.name, schedules.c.job)):
        if _names(job, wanted):
            found.append(f"schedule {name}")
    query = select(batch_deployments.c.endpoint, batch_deployments.c.name, batch_deployments.c.job)
    for endpoint, name, job in conn.execute(query):
        if _names(job, wanted):
            found.append(f"deployment {name} of batch endpoint {endpoint}")
    return sorted(set(found))


def _names(document: Any, wanted: Sequence[str]) -> bool:
    """Whether some word stands in a document; not as the beginning of a longer number."""
    text = json.dumps(document)
    for word in wanted:
        place = text.find(word)
        while place >= 0:
            after = text[place + len(word) : place + len(word) + 1]
            if not after.isalnum():
                return True
            place = text.find(word, place + 1)
    return False


def delete_model_version(conn: Connection, name: str, version: int) -> bool:
    """Remove one version; False where it is not there."""
    for table in (version_sources, model_versions):
        gone = conn.execute(
            delete(table).where(table.c.name == name, table.c.version == version)
        ).rowcount
    return bool(gone)


def delete_model(conn: Connection, name: str) -> None:
    """Remove a model with its versions and aliases; the history of its aliases stays."""
    for table in (
        version_sources,
        model_tags,
        alias_holds,
        model_aliases,
        model_versions,
        models,
    ):
        conn.execute(delete(table).where(table.c.name == name))


def delete_data_version(conn: Connection, name: str, version: int) -> None:
    """Remove one version; its number is not given again."""
    row = {"name": name, "last_version": version}
    conn.execute(conflict_insert(conn, data_numbers).values(**row).on_conflict_do_nothing())
    numbers = data_numbers.update().where(
        data_numbers.c.name == name, data_numbers.c.last_version < version
    )
    conn.execute(numbers.values(last_version=version))
    conn.execute(
        delete(data_versions).where(
            data_versions.c.name == name, data_versions.c.version == version
        )
    )


def delete_tree(conn: Connection, root_id: str) -> int:
    """Remove a finished tree with all it recorded; how many jobs it had. Events stay."""
    tree = select(jobs.c.id).where(jobs.c.root_id == root_id)
    of_jobs: list[tuple[Table, Any]] = [
        (table, table.c[column])
        for table, column in (
            (metrics, "job_id"),
            (latest_metrics, "job_id"),
            (log_chunks, "job_id"),
            (attempt_usage, "job_id"),
            (run_params, "run_id"),
            (run_tags, "run_id"),
            (run_links, "run_id"),
            (tracked_files, "owner_id"),
            (batch_invocations, "job_id"),
        )
    ]
    for table, column in of_jobs:
        conn.execute(delete(table).where(column.in_(tree)))
    conn.execute(
        delete(job_edges).where(
            or_(job_edges.c.upstream.in_(tree), job_edges.c.downstream.in_(tree))
        )
    )
    for table in (asset_uses, job_git, project_jobs):
        conn.execute(delete(table).where(table.c.root_id == root_id))
    return int(conn.execute(delete(jobs).where(jobs.c.root_id == root_id)).rowcount)
