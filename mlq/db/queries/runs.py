"""Reading runs: those of clients and those that leaf jobs are, as one relation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)

from mlq.db.comparisons import compare
from mlq.db.projects import DEFAULT, jobs_of
from mlq.db.tables import (
    experiments,
    job_git,
    jobs,
    latest_metrics,
    logged_model_metrics,
    logged_models,
    metrics,
    model_tags,
    project_jobs,
    run_links,
    run_params,
    run_tags,
    runs,
    tracked_files,
    version_sources,
)
from mlq.db.types import Id, Timestamp
from mlq.errors import MlqError
from mlq.lifecycle import HIDDEN_ROLES, State

SCHEDULED, RUNNING, FINISHED, FAILED, KILLED = (
    "SCHEDULED",
    "RUNNING",
    "FINISHED",
    "FAILED",
    "KILLED",
)
#: MLflow's word for each state of a job; every other one is FAILED.
STATUS_OF_STATE = {
    State.PENDING.value: SCHEDULED,
    State.QUEUED.value: SCHEDULED,
    State.RUNNING.value: RUNNING,
    State.WAITING.value: RUNNING,
    State.SUCCEEDED.value: FINISHED,
    State.CANCELED.value: KILLED,
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment. id: MLflow's number for it; name: the label that its project's jobs carry."""

    id: int
    project: str
    name: str
    tags: dict[str, str]
    is_deleted: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LatestMetric:
    """The value with the highest step of one metric."""

    key: str
    value: float
    step: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """A run. job_id: the job that it is, None for a client's; owner_id: the job that made it.

    attempt: of the job, 0 for a client's run: what was said in an earlier one is not shown.
    """

    id: str
    experiment_id: int
    project: str
    name: str
    status: str
    user: str
    attempt: int
    job_id: str | None
    root_id: str | None
    owner_id: str | None
    owner_attempt: int
    is_deleted: bool
    started_at: datetime
    ended_at: datetime | None
    metrics: list[LatestMetric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A stored file of a run or a logged model."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelMetric:
    """What a run measured of a logged model; the dataset's name and digest may be empty."""

    key: str
    value: float
    step: int
    at: datetime
    run_id: str
    dataset_name: str
    dataset_digest: str


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model that a run logged. id: without MLflow's "m-"."""

    id: str
    experiment_id: int
    run_id: str | None
    name: str
    type: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime
    metrics: list[ModelMetric] = field(default_factory=list)


# experiments


def find_experiment(conn: Connection, number: int, *, project: str | None) -> Experiment | None:
    """An experiment by number, where a caller of `project` may see it."""
    query = select(experiments).where(experiments.c.id == number, _in(project))
    row = conn.execute(query).first()
    return None if row is None else Experiment(**row._mapping)


def find_experiment_by_name(conn: Connection, name: str, *, project: str) -> Experiment | None:
    """A project's experiment of this name."""
    query = select(experiments).where(experiments.c.name == name, _in(project))
    row = conn.execute(query).first()
    return None if row is None else Experiment(**row._mapping)


def _in(project: str | None) -> ColumnElement[bool]:
    return true() if project is None else experiments.c.project == project


def names_a_job(conn: Connection, experiment: str, *, project: str) -> bool:
    """Whether a job of the project carries this label."""
    query = select(jobs.c.id).where(jobs.c.experiment == experiment, jobs_of(project)).limit(1)
    return conn.execute(query).first() is not None


def experiment_comparison(kind: str, key: str, op: str, value: Any) -> ColumnElement[bool]:
    """A comparison of `mlq.service.run_filters` with experiments. Raises MlqError."""
    if kind == "tag":
        return compare(experiments.c.tags[key].as_string(), op, value)
    if kind == "attribute" and key in {"name", "created_at", "updated_at"}:
        column = experiments.c[key]
        return compare(column, op, _moment(value) if key != "name" else value)
    raise MlqError(f"Experiments have no {kind} '{key}'.", code="invalid_filter")


def page_experiments(
    conn: Connection,
    *,
    wanted: Sequence[ColumnElement[bool]] = (),
    deleted: bool | None = False,
    project: str | None,
    limit: int,
    offset: int = 0,
) -> list[Experiment]:
    """Experiments, newest first. deleted: None for both kinds."""
    query = select(experiments).where(*wanted, _in(project))
    if deleted is not None:
        query = query.where(experiments.c.is_deleted.is_(deleted))
    query = query.order_by(experiments.c.updated_at.desc(), experiments.c.id.desc())
    return [Experiment(**row._mapping) for row in conn.execute(query.limit(limit).offset(offset))]


# runs

_IS_A_RUN = and_(
    jobs.c.is_leaf,
    or_(jobs.c.role.is_(None), jobs.c.role.not_in(sorted(role.value for role in HIDDEN_ROLES))),
)


def _every_run() -> Any:
    of_jobs = (
        select(
            jobs.c.id,
            experiments.c.id.label("experiment_id"),
            experiments.c.project,
            jobs.c.shadow.label("name"),
            case(STATUS_OF_STATE, value=jobs.c.state, else_=FAILED).label("status"),
            jobs.c.submitted_by.label("user"),
            jobs.c.attempt,
            jobs.c.id.label("job_id"),
            jobs.c.root_id,
            cast(null(), Id).label("owner_id"),
            literal(0).label("owner_attempt"),
            literal(False).label("is_deleted"),
            func.coalesce(jobs.c.started_at, jobs.c.created_at, type_=Timestamp).label(
                "started_at"
            ),
            jobs.c.finished_at.label("ended_at"),
        )
        .outerjoin(project_jobs, project_jobs.c.root_id == jobs.c.root_id)
        .join(
            experiments,
            and_(
                experiments.c.name == jobs.c.experiment,
                experiments.c.project == func.coalesce(project_jobs.c.project, DEFAULT),
            ),
        )
        .where(_IS_A_RUN)
    )
    of_clients = select(
        runs.c.id,
        runs.c.experiment_id,
        experiments.c.project,
        runs.c.name,
        runs.c.status,
        runs.c.created_by.label("user"),
        literal(0).label("attempt"),
        cast(null(), Id).label("job_id"),
        cast(null(), Id).label("root_id"),
        runs.c.owner_id,
        runs.c.owner_attempt,
        runs.c.is_deleted,
        runs.c.started_at,
        runs.c.ended_at,
    ).join(experiments, experiments.c.id == runs.c.experiment_id)
    return union_all(of_jobs, of_clients).subquery("every")


_EVERY = _every_run()
_COLUMNS = tuple(column.name for column in _EVERY.c)
#: MLflow's tags for what git knows of a job's code -> columns of `job_git`.
GIT_TAGS = {
    "mlflow.source.git.commit": "commit_id",
    "mlflow.source.git.branch": "branch",
    "mlflow.source.git.repoURL": "repository",
}
#: Attributes that runs are found by.
RUN_ATTRIBUTES = frozenset(_COLUMNS)
#: Attributes that logged models are found by -> their columns.
MODEL_ATTRIBUTES = {
    "experiment_id": "experiment_id",
    "model_id": "id",
    "name": "name",
    "status": "status",
    "model_type": "type",
    "source_run_id": "run_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


def find_run(conn: Connection, run_id: str, *, project: str | None) -> Run | None:
    """A run with all that hangs on it, where a caller of `project` may see it."""
    row = conn.execute(_runs_of(project).where(_EVERY.c.id == run_id)).first()
    return None if row is None else _dress(conn, [row])[0]


def find_bare_run(conn: Connection, run_id: str, *, project: str | None) -> Run | None:
    """A run without what hangs on it, where a caller of `project` may see it."""
    row = conn.execute(_runs_of(project).where(_EVERY.c.id == run_id)).first()
    return None if row is None else _run(row)


def is_free(conn: Connection, id: str) -> bool:
    """Whether no job, run or logged model has this id, and nothing hangs on it."""
    columns = (
        jobs.c.id,
        runs.c.id,
        logged_models.c.id,
        tracked_files.c.owner_id,
        run_tags.c.run_id,
        latest_metrics.c.job_id,
    )
    return not any(conn.scalar(select(one).where(one == id).limit(1)) for one in columns)


def _runs_of(project: str | None) -> Select[Any]:
    query: Select[Any] = select(_EVERY)
    return query if project is None else query.where(_EVERY.c.project == project)


def experiment_of_job(
    conn: Connection, job_id: str, *, project: str | None
) -> tuple[str, str] | None:
    """The label and the project of a leaf job that is a run, where a caller may see it."""
    owner = func.coalesce(project_jobs.c.project, DEFAULT)
    query = (
        select(jobs.c.experiment, owner)
        .outerjoin(project_jobs, project_jobs.c.root_id == jobs.c.root_id)
        .where(jobs.c.id == job_id, _IS_A_RUN)
    )
    if project is not None:
        query = query.where(owner == project)
    row = conn.execute(query).first()
    return None if row is None else (row[0], row[1])


def search(
    conn: Connection,
    *,
    experiment_ids: Sequence[int],
    wanted: Sequence[tuple[str, str, str, Any]],
    orders: Sequence[tuple[str, str, bool]],
    deleted: bool | None,
    project: str | None,
    limit: int,
    offset: int,
) -> list[Run]:
    """Runs of some experiments.

    wanted: comparisons as (kind, key, operator, value); orders: (kind, key, descending); both as
    `mlq.service.run_filters` reads them. Runs without a value to sort by come last; equal ones
    the newest first.
    """
    query = _runs_of(project).where(_EVERY.c.experiment_id.in_(list(experiment_ids)))
    if deleted is not None:
        query = query.where(_EVERY.c.is_deleted.is_(deleted))
    query = query.where(*(_comparison(*one) for one in wanted))
    for kind, key, descending in orders:
        value = _value(kind, key)
        query = query.order_by(value.is_(None), value.desc() if descending else value.asc())
    query = query.order_by(_EVERY.c.started_at.desc(), _EVERY.c.id)
    return _dress(conn, conn.execute(query.limit(limit).offset(offset)).all())


def _value(kind: str, key: str) -> ColumnElement[Any]:
    if kind == "attribute":
        return _EVERY.c[key]  # type: ignore[no-any-return]
    if kind == "metric":
        return (
            select(latest_metrics.c.value)
            .where(latest_metrics.c.job_id == _EVERY.c.id, latest_metrics.c.key == key)
            .scalar_subquery()
        )
    table = run_params if kind == "param" else run_tags
    said = (
        select(table.c.value)
        .where(
            table.c.run_id == _EVERY.c.id,
            table.c.key == key,
            table.c.attempt == _EVERY.c.attempt,
        )
        .scalar_subquery()
    )
    if kind == "tag" and key in GIT_TAGS:
        return func.coalesce(said, _git_value(GIT_TAGS[key]))
    return said


def _comparison(kind: str, key: str, op: str, value: Any) -> ColumnElement[bool]:
    found = _value(kind, key)
    if kind == "attribute" and isinstance(found.type, Timestamp):
        value = _moment(value)
    if kind == "attribute" and key == "id":
        return compare(cast(found, String) if op in {"LIKE", "ILIKE"} else found, op, value)
    return compare(found, op, value)


def _moment(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_moment(item) for item in value)
    return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


def _git_value(column: str) -> ColumnElement[Any]:
    return select(job_git.c[column]).where(job_git.c.root_id == _EVERY.c.root_id).scalar_subquery()


def _run(row: Any) -> Run:
    return Run(**{name: getattr(row, name) for name in _COLUMNS})


def _dress(conn: Connection, rows: Sequence[Any]) -> list[Run]:
    """Runs with their metrics, parameters, tags and links, in a statement each."""
    found = [_run(row) for row in rows]
    by_id = {run.id: run for run in found}
    ids = list(by_id)
    if not ids:
        return found
    for row in conn.execute(
        select(latest_metrics)
        .where(latest_metrics.c.job_id.in_(ids))
        .order_by(latest_metrics.c.key)
    ):
        by_id[row.job_id].metrics.append(LatestMetric(row.key, row.value, row.step, row.at))
    for table, name in ((run_params, "params"), (run_tags, "tags")):
        query = select(table).where(table.c.run_id.in_(ids)).order_by(table.c.key)
        for row in conn.execute(query):
            run = by_id[row.run_id]
            if row.attempt == run.attempt:
                getattr(run, name)[row.key] = row.value
    roots = {run.root_id for run in found if run.root_id is not None}
    known = {
        row.root_id: row
        for row in conn.execute(select(job_git).where(job_git.c.root_id.in_(roots)))
    }
    for run in found:
        if (git := known.get(run.root_id)) is not None:
            told = {tag: getattr(git, column) for tag, column in GIT_TAGS.items()}
            run.tags.update({k: v for k, v in told.items() if v and k not in run.tags})
    links = select(run_links).where(run_links.c.run_id.in_(ids)).order_by(run_links.c.id)
    for row in conn.execute(links):
        run = by_id[row.run_id]
        if row.attempt == run.attempt:
            run.links.append((row.kind, row.content))
    return found


def find_links(conn: Connection, run_id: str, *, attempt: int, kind: str) -> list[Any]:
    """What a run is linked to; kind: as the table says."""
    query = (
        select(run_links.c.content)
        .where(
            run_links.c.run_id == run_id, run_links.c.attempt == attempt, run_links.c.kind == kind
        )
        .order_by(run_links.c.id)
    )
    return list(conn.scalars(query))


def metric_history(
    conn: Connection, run_id: str, key: str, *, attempt: int, limit: int, offset: int
) -> list[LatestMetric]:
    """Every value of a metric of one attempt, in the order in which they were said."""
    query = (
        select(metrics)
        .where(metrics.c.job_id == run_id, metrics.c.key == key, metrics.c.attempt == attempt)
        .order_by(metrics.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [LatestMetric(row.key, row.value, row.step, row.at) for row in conn.execute(query)]


# files and logged models


def list_files(conn: Connection, owner_id: str, *, attempt: int, below: str) -> list[TrackedFile]:
    """Files of a run or logged model, those below the folder `below` ("" for all), by path."""
    query = select(tracked_files).where(
        tracked_files.c.owner_id == owner_id, tracked_files.c.attempt == attempt
    )
    if below:
        query = query.where(tracked_files.c.path.startswith(f"{below}/", autoescape=True))
    return [
        TrackedFile(row.path, row.digest, row.size_bytes)
        for row in conn.execute(query.order_by(tracked_files.c.path))
    ]


def find_file(conn: Connection, owner_id: str, path: str, *, attempt: int) -> TrackedFile | None:
    """One file of a run or logged model."""
    query = select(tracked_files).where(
        tracked_files.c.owner_id == owner_id,
        tracked_files.c.path == path,
        tracked_files.c.attempt == attempt,
    )
    row = conn.execute(query).first()
    return None if row is None else TrackedFile(row.path, row.digest, row.size_bytes)


def find_logged_model(
    conn: Connection, model_id: str, *, project: str | None
) -> LoggedModel | None:
    """A logged model with what was measured of it, where a caller of `project` may see it."""
    row = conn.execute(_models_of(project).where(logged_models.c.id == model_id)).first()
    return None if row is None else _dress_models(conn, [row])[0]


def _models_of(project: str | None) -> Select[Any]:
    query: Select[Any] = select(logged_models)
    if project is None:
        return query
    return query.join(experiments, experiments.c.id == logged_models.c.experiment_id).where(
        _in(project)
    )


def search_logged_models(
    conn: Connection,
    *,
    experiment_ids: Sequence[int],
    wanted: Sequence[tuple[str, str, str, Any]],
    orders: Sequence[tuple[str, str, bool]],
    datasets: Sequence[tuple[str, str]],
    project: str | None,
    limit: int,
    offset: int,
) -> list[LoggedModel]:
    """Logged models of some experiments; equal ones the newest first.

    wanted, orders: as of `search`. datasets: (name, digest), digest "" for any; metrics are
    compared where they were measured on one of them, on anything where there are none.
    """
    query = _models_of(project).where(logged_models.c.experiment_id.in_(list(experiment_ids)))
    for kind, key, op, value in wanted:
        query = query.where(_model_comparison(kind, key, op, value, datasets=datasets))
    for kind, key, descending in orders:
        if kind == "metric":
            found: Any = (
                select(logged_model_metrics.c.value)
                .where(_measured(key, datasets))
                .order_by(logged_model_metrics.c.at.desc())
                .limit(1)
                .scalar_subquery()
            )
        else:
            found = _model_value(kind, key)
        query = query.order_by(found.is_(None), found.desc() if descending else found.asc())
    query = query.order_by(logged_models.c.created_at.desc(), logged_models.c.id.desc())
    return _dress_models(conn, conn.execute(query.limit(limit).offset(offset)).all())


def _model_comparison(
    kind: str, key: str, op: str, value: Any, *, datasets: Sequence[tuple[str, str]]
) -> ColumnElement[bool]:
    if kind == "metric":
        is_so = compare(logged_model_metrics.c.value, op, value)
        return exists().where(_measured(key, datasets), is_so)
    found = _model_value(kind, key)
    if isinstance(found.type, Timestamp):
        value = _moment(value)
    if isinstance(found.type, Id) and isinstance(value, str):
        value = value.removeprefix("m-")
        found = cast(found, String) if op in {"LIKE", "ILIKE"} else found
    return compare(found, op, value)


def _model_value(kind: str, key: str) -> ColumnElement[Any]:
    if kind in {"param", "tag"}:
        column = logged_models.c.params if kind == "param" else logged_models.c.tags
        found: ColumnElement[Any] = column[key].as_string()
        return found
    return logged_models.c[MODEL_ATTRIBUTES[key]]


def _measured(key: str, datasets: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    of_it = and_(
        logged_model_metrics.c.model_id == logged_models.c.id, logged_model_metrics.c.key == key
    )
    if not datasets:
        return of_it
    return of_it & or_(
        *(
            (logged_model_metrics.c.dataset_name == name)
            & (logged_model_metrics.c.dataset_digest == digest if digest else true())
            for name, digest in datasets
        )
    )


def _dress_models(conn: Connection, rows: Sequence[Any]) -> list[LoggedModel]:
    found = {row.id: LoggedModel(**row._mapping) for row in rows}
    query = (
        select(logged_model_metrics)
        .where(logged_model_metrics.c.model_id.in_(list(found)))
        .order_by(logged_model_metrics.c.key, logged_model_metrics.c.at)
    )
    for row in conn.execute(query):
        columns = dict(row._mapping)
        found[columns.pop("model_id")].metrics.append(ModelMetric(**columns))
    return list(found.values())


# registry


@dataclass(frozen=True, slots=True)
class VersionSource:
    """Where a client said that a model version came from."""

    source: str
    run_id: str | None
    model_id: str | None


def find_version_source(conn: Connection, name: str, version: int) -> VersionSource | None:
    """Where a model version came from; None for one that no MLflow client registered."""
    query = select(version_sources).where(
        version_sources.c.name == name, version_sources.c.version == version
    )
    row = conn.execute(query).first()
    return None if row is None else VersionSource(row.source, row.run_id, row.model_id)


def tags_of_models(conn: Connection, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tags of registered models, by name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    query = select(model_tags).where(model_tags.c.name.in_(list(names))).order_by(model_tags.c.key)
    for row in conn.execute(query):
        found[row.name][row.key] = row.value
    return found
