"""What came from what: outputs of jobs, and equal steps whose outputs can be reused."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mlq.db.projects import DEFAULT
from mlq.db.tables import jobs, project_jobs
from mlq.db.together import Prepared
from mlq.db.types import Id
from mlq.lifecycle import State


class _json_items(FunctionElement[Any]):
    """The members of a JSON object as rows (key, value)."""

    inherit_cache = True
    name = "json_items"


class _bound_job(FunctionElement[str]):
    """The job that an input's JSON is bound to, NULL for other inputs."""

    inherit_cache = True
    name = "bound_job"
    type = Id()


@compiles(_json_items, "postgresql")
def _items_postgresql(element: _json_items, compiler: SQLCompiler, **kw: Any) -> str:
    return f"jsonb_each({compiler.process(element.clauses, **kw)})"


@compiles(_json_items, "sqlite")
def _items_sqlite(element: _json_items, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(_bound_job, "postgresql")
def _bound_postgresql(element: _bound_job, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)} ->> 'job')::uuid"


@compiles(_bound_job, "sqlite")
def _bound_sqlite(element: _bound_job, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **kw)}, '$.job')"


_leaf = jobs.alias("leaf")
_given = _json_items(_leaf.c.inputs).table_valued("key", "value", name="given")
_source = _bound_job(_given.c.value)
#: id and outputs of the jobs that inputs of `job` are bound to. The outputs come from a subquery
#: and not from a join: PostgreSQL takes every JSON object for a hundred members, and would read the
#: whole table for them.
UPSTREAM_OUTPUTS = Prepared(
    select(
        _source.label("id"),
        select(jobs.c.outputs).where(jobs.c.id == _source).scalar_subquery().label("outputs"),
    )
    .select_from(_leaf, _given)
    .where(_leaf.c.id == bindparam("job"), _source.is_not(None))
)


def _owner_of(root_id: Any, otherwise: Any) -> Any:
    owner = select(project_jobs.c.project).where(project_jobs.c.root_id == root_id)
    return func.coalesce(owner.scalar_subquery(), otherwise)


_CACHED = (
    select(jobs.c.id)
    .where(
        jobs.c.cache_key == bindparam("key"),
        jobs.c.state == State.SUCCEEDED.value,
        _owner_of(jobs.c.root_id, DEFAULT)
        == _owner_of(bindparam("root", type_=Id), bindparam("project")),
    )
    .order_by(jobs.c.id.desc())
    .limit(1)
)


def find_cached(
    conn: Connection, cache_key: str, *, root_id: str | None = None, project: str = DEFAULT
) -> Any | None:
    """The newest succeeded job of that digest in the project of `root_id`: a row with its id.

    project: of a tree that is not stored yet.
    """
    given = {"key": cache_key, "root": root_id, "project": project}
    return conn.execute(_CACHED, given).one_or_none()


def outputs_of(conn: Connection, job_id: str) -> dict[str, Any]:
    """The outputs of a job; empty where it has none."""
    return conn.scalar(select(jobs.c.outputs).where(jobs.c.id == job_id)) or {}
