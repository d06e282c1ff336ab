"""Statements that write what MLflow's clients record; `mlq.db.queries.runs` reads it.

A run is a leaf job or a row of `runs`. What hangs on it carries the attempt it was said in: a new
attempt of a job begins with an empty record, and overwrites what an earlier one left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, func, insert, select, update

from mlq.db.projects import DEFAULT
from mlq.db.tables import (
    experiments,
    jobs,
    logged_model_metrics,
    logged_models,
    model_tags,
    project_jobs,
    run_links,
    run_params,
    run_tags,
    runs,
    tracked_files,
    version_sources,
)
from mlq.db.types import now
from mlq.db.upsert import conflict_insert

# experiments


def add_experiment(
    conn: Connection, name: str, *, project: str, tags: Mapping[str, str]
) -> int | None:
    """Make an experiment; its number, None where the project has one of that name."""
    statement = (
        conflict_insert(conn, experiments)
        .values(
            project=project,
            name=name,
            tags=dict(tags),
            is_deleted=False,
            created_at=now(),
            updated_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(experiments.c.id)
    )
    number: int | None = conn.scalar(statement)
    return number


def adopt_experiments(conn: Connection, *, project: str | None) -> None:
    """Make a row for each experiment that only jobs name so far; project: as everywhere."""
    owner = func.coalesce(project_jobs.c.project, DEFAULT)
    known = exists().where(experiments.c.name == jobs.c.experiment, experiments.c.project == owner)
    named = (
        select(jobs.c.experiment, owner)
        .outerjoin(project_jobs, project_jobs.c.root_id == jobs.c.id)
        .where(jobs.c.parent_id.is_(None), ~known)
    )
    if project is not None:
        named = named.where(owner == project)
    for name, found in conn.execute(named.distinct()).all():
        add_experiment(conn, name, project=found, tags={})


def change_experiment(conn: Connection, number: int, **columns: Any) -> None:
    """Set columns of an experiment."""
    conn.execute(
        update(experiments).where(experiments.c.id == number).values(updated_at=now(), **columns)
    )


# runs


def add_run(conn: Connection, **columns: Any) -> None:
    """Insert a run of a client; `started_at` is the database's clock where it is None."""
    started = columns.pop("started_at", None)
    conn.execute(
        insert(runs).values(
            started_at=now() if started is None else started, is_deleted=False, **columns
        )
    )


def change_run(conn: Connection, run_id: str, **columns: Any) -> None:
    """Set columns of a client's run."""
    if columns:
        conn.execute(update(runs).where(runs.c.id == run_id).values(**columns))


def hold_run(conn: Connection, run_id: str) -> None:
    """Let nobody else write a client's run until this transaction ends."""
    conn.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update())


def find_params(
    conn: Connection, run_id: str, *, attempt: int, keys: Sequence[str]
) -> dict[str, str]:
    """What some parameters of a run are."""
    query = select(run_params.c.key, run_params.c.value).where(
        run_params.c.run_id == run_id,
        run_params.c.attempt == attempt,
        run_params.c.key.in_(list(keys)),
    )
    return {row.key: row.value for row in conn.execute(query)}


def put_params(conn: Connection, run_id: str, values: Mapping[str, str], *, attempt: int) -> None:
    """Set parameters of a run."""
    _put(conn, run_params, run_id, values, attempt=attempt)


def put_tags(conn: Connection, run_id: str, values: Mapping[str, str], *, attempt: int) -> None:
    """Set tags of a run."""
    _put(conn, run_tags, run_id, values, attempt=attempt)


def _put(
    conn: Connection, table: Table, run_id: str, values: Mapping[str, str], *, attempt: int
) -> None:
    if not values:
        return
    statement = conflict_insert(conn, table)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["run_id", "key"],
            set_={"value": statement.excluded.value, "attempt": statement.excluded.attempt},
        ),
        [
            {"run_id": run_id, "key": key, "value": value, "attempt": attempt}
            for key, value in values.items()
        ],
    )


def drop_tag(conn: Connection, run_id: str, key: str) -> bool:
    """Remove a tag; whether it was there."""
    gone = conn.execute(delete(run_tags).where(run_tags.c.run_id == run_id, run_tags.c.key == key))
    return bool(gone.rowcount)


def add_links(
    conn: Connection, run_id: str, *, attempt: int, kind: str, contents: Sequence[Any]
) -> None:
    """Note datasets or models that a run took or made; kind: as the table says."""
    if contents:
        conn.execute(
            insert(run_links),
            [
                {"run_id": run_id, "attempt": attempt, "kind": kind, "content": content}
                for content in contents
            ],
        )


def put_file(
    conn: Connection, owner_id: str, path: str, *, attempt: int, digest: str, size_bytes: int
) -> None:
    """Note a stored file of a run or a logged model."""
    statement = conflict_insert(conn, tracked_files).values(
        owner_id=owner_id, path=path, attempt=attempt, digest=digest, size_bytes=size_bytes
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["owner_id", "path"],
            set_={name: statement.excluded[name] for name in ("attempt", "digest", "size_bytes")},
        )
    )


def drop_file(conn: Connection, owner_id: str, path: str) -> bool:
    """Forget a file; whether it was there."""
    gone = conn.execute(
        delete(tracked_files).where(
            tracked_files.c.owner_id == owner_id, tracked_files.c.path == path
        )
    )
    return bool(gone.rowcount)


# logged models


def add_logged_model(conn: Connection, **columns: Any) -> None:
    """Insert a logged model."""
    conn.execute(insert(logged_models).values(created_at=now(), updated_at=now(), **columns))


def change_logged_model(conn: Connection, model_id: str, **columns: Any) -> None:
    """Set columns of a logged model."""
    conn.execute(
        update(logged_models)
        .where(logged_models.c.id == model_id)
        .values(updated_at=now(), **columns)
    )


def put_model_metrics(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note what a run measured of logged models; a lower step does not replace a higher one.

    rows: columns of the table; `at` is the database's clock where it is None.
    """
    statement = conflict_insert(conn, logged_model_metrics)
    for row in rows:
        at = now() if row["at"] is None else row["at"]
        conn.execute(
            statement.values(**{**row, "at": at}).on_conflict_do_update(
                index_elements=["model_id", "key", "run_id", "dataset_name", "dataset_digest"],
                set_={name: statement.excluded[name] for name in ("value", "step", "at")},
                where=statement.excluded.step >= logged_model_metrics.c.step,
            )
        )


# registry


def add_version_source(
    conn: Connection,
    *,
    name: str,
    version: int,
    source: str,
    run_id: str | None,
    model_id: str | None,
) -> None:
    """Note where a model version came from."""
    conn.execute(
        insert(version_sources).values(
            name=name, version=version, source=source, run_id=run_id, model_id=model_id
        )
    )


def put_model_tag(conn: Connection, name: str, key: str, value: str) -> None:
    """Set a tag of a registered model."""
    statement = conflict_insert(conn, model_tags).values(name=name, key=key, value=value)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["name", "key"], set_={"value": statement.excluded.value}
        )
    )


def drop_model_tag(conn: Connection, name: str, key: str) -> None:
    """Remove a tag of a registered model."""
    conn.execute(delete(model_tags).where(model_tags.c.name == name, model_tags.c.key == key))
