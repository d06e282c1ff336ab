"""Finding and listing jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select
from sqlalchemy.engine import RowMapping

from mlq.db.projects import jobs_of
from mlq.db.queries import columns
from mlq.db.tables import job_edges, jobs, latest_metrics, metrics, specs
from mlq.db.types import now
from mlq.errors import ConflictError, NotFoundError
from mlq.ids import parse_id, parse_prefix
from mlq.lifecycle import HIDDEN_ROLES, Role, State

LAST = "@last"
_CANDIDATES = 6
#: Not what only a sweep knows: its runners, and the leaf that makes its outputs.
_HIDDEN = tuple(sorted(role.value for role in HIDDEN_ROLES))
_IS_SHOWN = or_(jobs.c.role.is_(None), jobs.c.role.not_in(_HIDDEN))


def find(conn: Connection, reference: str, *, project: str | None = None) -> str:
    """The id of the job that `reference` means.

    reference: an id, the unique beginning of one (6 digits or more), `@last` (the newest root), or
    the name or display name of a root, of which the newest is meant. project: look there only.
    Raises NotFoundError; ConflictError with the candidates when several ids begin so.
    """
    mine = jobs_of(project)
    if reference == LAST:
        row = _newest_root(conn, jobs.c.archived_at.is_(None), mine)
        if row is None:
            raise NotFoundError("No job has been submitted yet.", hint="`mlq job create -f FILE`.")
        return row
    whole = parse_id(reference)
    if whole is not None:
        if conn.execute(select(jobs.c.id).where(jobs.c.id == whole, mine)).first():
            return whole
        raise NotFoundError(f"There is no job {whole}.", hint="`mlq job list` shows the newest.")
    prefix = parse_prefix(reference)
    found = _ids_with_prefix(conn, prefix, mine) if prefix else []
    if len(found) > 1:
        listed = ", ".join(row["id"] + f" ({row['path'] or row['name']})" for row in found)
        raise ConflictError(
            f"'{reference}' is the beginning of several jobs' ids.",
            code="ambiguous",
            hint=f"Write more digits. Candidates: {listed}.",
        )
    if found:
        return str(found[0]["id"])
    named = _newest_root(
        conn, or_(jobs.c.display_name == reference, jobs.c.name == reference), mine
    )
    if named is None:
        raise NotFoundError(
            f"There is no job '{reference}'.",
            hint="Use an id, the first digits of one, a display name or @last; "
            "`mlq job list` shows the newest.",
        )
    return named


def _ids_with_prefix(
    conn: Connection, prefix: str, condition: ColumnElement[bool]
) -> list[RowMapping]:
    low, high = prefix.ljust(32, "0"), prefix.ljust(32, "f")
    query = select(jobs.c.id, jobs.c.path, jobs.c.name).where(
        jobs.c.id.between(low, high), condition
    )
    found = list(conn.execute(query.order_by(jobs.c.id).limit(_CANDIDATES)).mappings())
    # the ids of a tree are made within a millisecond and share their beginning: the root is meant
    roots = [row for row in found if not row["path"]]
    return roots if len(roots) == 1 and len(found) < _CANDIDATES else found


def _newest_root(conn: Connection, *conditions: ColumnElement[bool]) -> str | None:
    return conn.execute(
        select(jobs.c.id)
        .where(jobs.c.parent_id.is_(None), *conditions)
        .order_by(jobs.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def read(conn: Connection, job_id: str) -> RowMapping:
    """The row of a job, with the database's time as `now`. Raises NotFoundError."""
    row = (
        conn.execute(select(jobs, now().label("now")).where(jobs.c.id == job_id)).mappings().first()
    )
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.")
    return row


def is_running(conn: Connection, job_id: str, *, attempt: int) -> bool:
    """Whether this attempt of a job is the one that runs now."""
    query = select(jobs.c.id).where(
        jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.state == State.RUNNING
    )
    return conn.execute(query).first() is not None


def page(
    conn: Connection,
    *,
    limit: int,
    before: str | None = None,
    parent: str = "none",
    state: str | None = None,
    experiment: str | None = None,
    name: str | None = None,
    archived: bool = False,
    project: str | None = None,
    measured: Iterable[tuple[str, str, float]] = (),
) -> list[RowMapping]:
    """Jobs, newest first, below the id `before`.

    parent: `none` (roots), `any`, or the id whose children are meant. measured: metrics that they
    or steps of them must have, as (name, operator, value), all of them.
    """
    query = select(jobs, now().label("now")).order_by(jobs.c.id.desc()).limit(limit)
    if parent == "none":
        query = query.where(jobs.c.parent_id.is_(None))
    else:
        query = query.where(_IS_SHOWN)
    if parent not in {"none", "any"}:
        query = query.where(jobs.c.parent_id == parent)
    if before is not None:
        query = query.where(jobs.c.id < before)
    if state is not None:
        query = query.where(jobs.c.state == state)
    if experiment is not None:
        query = query.where(jobs.c.experiment == experiment)
    if name is not None:
        query = query.where(or_(jobs.c.name == name, jobs.c.display_name == name))
    if project is not None:
        query = query.where(jobs_of(project))
    if not archived:
        query = query.where(jobs.c.archived_at.is_(None))
    query = query.where(*(columns.measured(conn, *one) for one in measured))
    return list(conn.execute(query).mappings())


def children(
    conn: Connection, parents: Iterable[str], *, limit: int, after: int = -1
) -> list[RowMapping]:
    """Children in the order of their steps, those with an ordinal above `after`.

    Of a sweep: its trials.
    """
    query = (
        select(jobs, now().label("now"))
        .where(jobs.c.parent_id.in_(list(parents)), jobs.c.ordinal > after, _IS_SHOWN)
        .order_by(jobs.c.parent_id, jobs.c.ordinal)
        .limit(limit)
    )
    return list(conn.execute(query).mappings())


def upstreams(conn: Connection, job_ids: Iterable[str]) -> Mapping[str, list[str]]:
    """job id -> ids of the jobs it waits for."""
    found: dict[str, list[str]] = defaultdict(list)
    query = select(job_edges).where(job_edges.c.downstream.in_(list(job_ids)))
    for upstream, downstream in conn.execute(query.order_by(job_edges.c.upstream)):
        found[downstream].append(upstream)
    return found


def leaves(conn: Connection, root_id: str) -> list[RowMapping]:
    """Leaves of a tree, trials left out: id, path, inputs."""
    query = select(jobs.c.id, jobs.c.path, jobs.c.inputs).where(
        jobs.c.root_id == root_id, jobs.c.is_leaf, jobs.c.role.is_distinct_from(Role.TRIAL.value)
    )
    return list(conn.execute(query).mappings())


def newest_metrics(conn: Connection, job_ids: Iterable[str]) -> Mapping[str, dict[str, float]]:
    """job id -> latest value of each of its metrics."""
    table, found = latest_metrics, defaultdict[str, dict[str, float]](dict)
    query = select(table.c.job_id, table.c.key, table.c.value)
    for job_id, key, value in conn.execute(
        query.where(table.c.job_id.in_(list(job_ids))).order_by(table.c.key)
    ):
        found[job_id][key] = value
    return found


def metric_history(
    conn: Connection, job_id: str, *, limit: int, after: int = 0, key: str | None = None
) -> list[RowMapping]:
    """Logged values of a job, oldest first, above the row id `after`."""
    query = select(metrics).where(metrics.c.job_id == job_id, metrics.c.id > after)
    if key is not None:
        query = query.where(metrics.c.key == key)
    return list(conn.execute(query.order_by(metrics.c.id).limit(limit)).mappings())


def spec(conn: Connection, job_id: str) -> Mapping[str, Any]:
    """What was stored of a job's definition; a root's holds the submitted `document`."""
    query = select(specs.c.content).join(jobs, jobs.c.spec_digest == specs.c.digest)
    content: Mapping[str, Any] | None = conn.execute(query.where(jobs.c.id == job_id)).scalar()
    return content or {}


def specs_of(
    conn: Connection, rows: Iterable[RowMapping | Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    """spec digest -> content, of these jobs."""
    digests = {row["spec_digest"] for row in rows}
    query = select(specs.c.digest, specs.c.content).where(specs.c.digest.in_(digests))
    return {row.digest: row.content for row in conn.execute(query)}


def hidden_ids(conn: Connection, root_id: str) -> frozenset[str]:
    """The jobs of a tree that only its sweeps know: runners, and leaves that make outputs."""
    query = select(jobs.c.id).where(jobs.c.root_id == root_id, jobs.c.role.in_(_HIDDEN))
    return frozenset(conn.scalars(query))


def find_shown_path(conn: Connection, job_id: str) -> str | None:
    """The path of a job below its root; None for what only its sweep knows."""
    return conn.scalar(select(jobs.c.path).where(jobs.c.id == job_id, _IS_SHOWN))


def subtree(job_id: str) -> Select[tuple[str]]:
    """A query for the ids of a job and everything below it."""
    tree = (
        select(jobs.c.id)
        .where(jobs.c.id == literal(job_id, jobs.c.id.type))
        .cte("tree", recursive=True)
    )
    tree = tree.union_all(select(jobs.c.id).where(jobs.c.parent_id == tree.c.id))
    return select(tree.c.id)


def paths(conn: Connection, job_ids: Sequence[str]) -> Mapping[str, str]:
    """job id -> its path below the root, or its name for a root; of a sweep's own leaves: its."""
    query = select(jobs.c.id, jobs.c.path, jobs.c.name, jobs.c.role).where(jobs.c.id.in_(job_ids))
    return {row.id: _shown_path(row) for row in conn.execute(query)}


def _shown_path(row: Any) -> str:
    if row.role in _HIDDEN:
        return str(row.path.rpartition(".")[0])
    return str(row.path or row.name)


def count_by_state(conn: Connection) -> Mapping[tuple[str, str], int]:
    """(type, state) -> how many roots."""
    query = (
        select(jobs.c.type, jobs.c.state, func.count())
        .where(jobs.c.parent_id.is_(None))
        .group_by(jobs.c.type, jobs.c.state)
    )
    return {(row[0], row[1]): row[2] for row in conn.execute(query)}
