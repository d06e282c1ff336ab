"""Tracking as MLflow's clients do it: experiments, runs, parameters, metrics, tags, files.

A leaf job is a run: its record is what its current attempt said, and its lifecycle is the job's, so
a client may not end it. Who writes for a job's own code is fenced by the attempt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from mlq.db import events, registry, reports, tracking
from mlq.db.projects import DEFAULT
from mlq.db.queries import runs as queries
from mlq.db.queries.runs import Experiment, LoggedModel, Run, TrackedFile
from mlq.db.registry import Artifact
from mlq.db.reports import LogChunk, MetricValue
from mlq.db.transitions import is_current
from mlq.errors import ConflictError, ForbiddenError, MlqError, NotFoundError
from mlq.ids import new_id, parse_id
from mlq.service import projects
from mlq.service.names import check_text
from mlq.service.run_filters import parse_filter, parse_orders
from mlq.service.tokens import AttemptScope

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_BATCH = 1000
STATUSES = frozenset({"SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"})
_KEY = re.compile(r"[\w\-. /:]+")
RUN_NAME_TAG = "mlflow.runName"
#: What MLflow's clients call experiment 0.
DEFAULT_EXPERIMENT = "Default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who tracks. project: the only one that they reach, None: all of them.

    attempt: of the job whose own code it is, which writes what is that attempt's only.
    """

    project: str | None = None
    attempt: AttemptScope | None = None

    @property
    def home(self) -> str:
        """The project that what they make belongs to."""
        return self.project or DEFAULT


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of a logged model; the dataset that it was measured on may be empty."""

    model_id: str
    metric: MetricValue
    dataset_name: str
    dataset_digest: str


# experiments


def create_experiment(
    conn: Connection, name: str, *, caller: Caller, tags: Mapping[str, str], actor: str
) -> int:
    """Make an experiment; its number. Raises ConflictError where the name is taken."""
    projects.require_known(conn, caller.home)
    check_text(name, what="name", limit=255)
    if not name.strip():
        raise MlqError("An experiment needs a name.", code="invalid")
    number = None
    if not queries.names_a_job(conn, name, project=caller.home):
        number = tracking.add_experiment(conn, name, project=caller.home, tags=tags)
    if number is None:
        raise ConflictError(f"There is an experiment '{name}' already.", code="exists")
    events.record(conn, "experiment.create", subject=f"experiment:{name}", actor=actor)
    return number


def find_experiment_by_name(conn: Connection, name: str, *, caller: Caller) -> Experiment:
    """An experiment of the caller's project. Raises NotFoundError."""
    found = queries.find_experiment_by_name(conn, name, project=caller.home)
    if found is None:
        raise NotFoundError(
            f"There is no experiment '{name:.80}'.", hint="mlflow.set_experiment makes one."
        )
    return found


def adopt_experiment(conn: Connection, name: str, *, caller: Caller) -> Experiment:
    """As above, made where only jobs name it; each project has its `Default` when it is asked for.

    Raises NotFoundError.
    """
    projects.require_known(conn, caller.home)
    if name == DEFAULT_EXPERIMENT or queries.names_a_job(conn, name, project=caller.home):
        tracking.add_experiment(conn, name, project=caller.home, tags={})
    return find_experiment_by_name(conn, name, caller=caller)


def adopt_experiments(conn: Connection, *, caller: Caller) -> None:
    """See to it that MLflow's clients find all experiments that jobs name, and a `Default`."""
    tracking.adopt_experiments(conn, project=caller.project)
    adopt_experiment(conn, DEFAULT_EXPERIMENT, caller=caller)


def find_experiment(conn: Connection, number: str | int, *, caller: Caller) -> Experiment:
    """An experiment by MLflow's number; 0 is the `Default` of the caller's project.

    Raises NotFoundError, also for another project's.
    """
    text = str(number)
    if text == "0":
        return find_experiment_by_name(conn, DEFAULT_EXPERIMENT, caller=caller)
    known = text.isascii() and text.isdecimal() and len(text) < 10
    found = queries.find_experiment(conn, int(text), project=caller.project) if known else None
    if found is None:
        raise NotFoundError(f"There is no experiment {text:.40}.")
    return found


def usable_experiment(conn: Connection, number: str | int, *, caller: Caller) -> Experiment:
    """As `find_experiment`, for who writes: makes a project's `Default`."""
    if str(number) == "0":
        return adopt_experiment(conn, DEFAULT_EXPERIMENT, caller=caller)
    return find_experiment(conn, number, caller=caller)


def change_experiment(
    conn: Connection,
    number: str | int,
    *,
    caller: Caller,
    actor: str,
    name: str | None = None,
    is_deleted: bool | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Rename, delete, restore or tag an experiment.

    Raises NotFoundError; ConflictError for one that jobs are labeled with, or a name that is taken.
    """
    found = usable_experiment(conn, number, caller=caller)
    columns: dict[str, Any] = {}
    if name is not None and name != found.name:
        check_text(name, what="name", limit=255)
        if queries.names_a_job(conn, found.name, project=found.project):
            raise ConflictError(
                f"Jobs are labeled '{found.name}': the experiment keeps its name.",
                hint="Submit later jobs with another experiment_name.",
            )
        taken = queries.find_experiment_by_name(conn, name, project=found.project)
        if taken or queries.names_a_job(conn, name, project=found.project):
            raise ConflictError(f"There is an experiment '{name}' already.", code="exists")
        columns["name"] = name
    if is_deleted is not None:
        columns["is_deleted"] = is_deleted
    if tags:
        columns["tags"] = {**found.tags, **tags}
    if columns:
        tracking.change_experiment(conn, found.id, **columns)
        events.record(
            conn,
            "experiment.change",
            subject=f"experiment:{found.name}",
            actor=actor,
            detail={key: value for key, value in columns.items() if key != "tags"},
        )


# runs


def start_run(
    conn: Connection,
    *,
    experiment: str | int,
    name: str,
    user: str,
    tags: Mapping[str, str],
    started_at: datetime | None,
    caller: Caller,
    run_id: str = "",
) -> Run:
    """Make a client's run; that of a job's own code is then a part of the job.

    run_id: the id that it has on the server that it is imported from; "" for a new one.

    Raises NotFoundError, MlqError (code `invalid`), ForbiddenError for an attempt that has ended.
    """
    found = usable_experiment(conn, experiment, caller=caller)
    scope = caller.attempt
    _require_current(conn, scope)
    _check_pairs(tags, what="tag", limit=MAX_TAG)
    run_id = _chosen_id(conn, run_id, caller=caller) if run_id else new_id()
    name = name or tags.get(RUN_NAME_TAG, "") or f"run-{run_id[-8:]}"
    check_text(name, what="run name", limit=255)
    tracking.add_run(
        conn,
        id=run_id,
        experiment_id=found.id,
        owner_id=scope.job_id if scope else None,
        owner_attempt=scope.attempt if scope else 0,
        name=name,
        status=queries.RUNNING,
        created_by=user,
        started_at=started_at,
    )
    tracking.put_tags(conn, run_id, {**tags, RUN_NAME_TAG: name}, attempt=0)
    made = queries.find_run(conn, run_id, project=None)
    assert made is not None, "it was inserted just now"
    return made


def find_run(conn: Connection, run_id: str, *, caller: Caller) -> Run:
    """A run with all that hangs on it. Raises NotFoundError, also for another project's."""
    return _known(queries.find_run(conn, _id(run_id), project=caller.project), run_id)


def adopt_run(conn: Connection, run_id: str, *, caller: Caller) -> Run:
    """As `find_run`, and sees to it that a job's experiment is known to MLflow's clients."""
    found = queries.experiment_of_job(conn, _id(run_id), project=caller.project)
    if found is not None:
        label, project = found
        adopt_experiment(conn, label, caller=Caller(project))
    return find_run(conn, run_id, caller=caller)


def change_run(
    conn: Connection,
    run_id: str,
    *,
    caller: Caller,
    status: str | None = None,
    name: str | None = None,
    ended_at: datetime | None = None,
    is_deleted: bool | None = None,
) -> Run:
    """End, rename, delete or restore a run.

    The end of a job's run is its job's, whatever its code says; its name is the step's.
    """
    run = writable_run(conn, run_id, caller=caller)
    if status is not None and status not in STATUSES:
        raise MlqError(
            f"'{status:.40}' is no status of a run.",
            code="invalid",
            hint=f"There are {', '.join(sorted(STATUSES))}.",
        )
    if run.job_id is None:
        columns: dict[str, Any] = {}
        if status is not None:
            columns["status"] = status
        if ended_at is not None:
            columns["ended_at"] = ended_at
        if name:
            columns["name"] = check_text(name, what="run name", limit=255)
            tracking.put_tags(conn, run.id, {RUN_NAME_TAG: name}, attempt=0)
        if is_deleted is not None:
            columns["is_deleted"] = is_deleted
        tracking.change_run(conn, run.id, **columns)
    elif is_deleted:
        raise ConflictError(
            "This run is a job, which keeps its history.",
            hint=f"`mlq job archive {run.root_id}` hides it.",
        )
    return find_run(conn, run.id, caller=caller)


def log(
    conn: Connection,
    run_id: str,
    *,
    caller: Caller,
    metrics: Sequence[MetricValue] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    of_models: Sequence[Measured] = (),
) -> None:
    """Write what a run says, all of it or nothing.

    of_models: those of `metrics` that were measured of a logged model, which shows them too.
    A metric that is not a number is left out, as `mlq.log_metric` does; a job's log says so.
    Raises NotFoundError, ForbiddenError, MlqError (code `invalid`) for a parameter that was said
    before with another value.
    """
    run = writable_run(conn, run_id, caller=caller)
    params, tags = params or {}, tags or {}
    _check_pairs(params, what="parameter", limit=MAX_PARAM)
    _check_pairs(tags, what="tag", limit=MAX_TAG)
    for metric in metrics:
        _check_key(metric.key, what="metric")
    if params:
        before = tracking.find_params(conn, run.id, attempt=run.attempt, keys=list(params))
        for key, value in before.items():
            if params[key] != value:
                raise MlqError(
                    f"The parameter '{key}' of this run is '{value:.80}' already; a run's "
                    "parameters do not change.",
                    code="invalid",
                    hint="Start another run for other parameters.",
                )
        tracking.put_params(conn, run.id, params, attempt=run.attempt)
    tracking.put_tags(conn, run.id, tags, attempt=run.attempt)
    numbers = [metric for metric in metrics if not math.isnan(metric.value)]
    reports.write_metrics(conn, run.id, run.attempt, numbers)
    tracking.put_model_metrics(
        conn,
        [
            {
                "model_id": writable_model(conn, one.model_id, caller=caller).id,
                "run_id": run.id,
                "key": one.metric.key,
                "dataset_name": check_text(one.dataset_name, what="dataset name", limit=500),
                "dataset_digest": check_text(one.dataset_digest, what="dataset digest", limit=64),
                "value": one.metric.value,
                "step": one.metric.step,
                "at": one.metric.at,
            }
            for one in of_models
            if not math.isnan(one.metric.value)
        ],
    )
    if run.job_id is not None:
        left_out = [
            LogChunk(
                "mlq",
                f"The metric '{metric.key}' is not a number at step {metric.step} and is left "
                "out.\n",
            )
            for metric in metrics
            if math.isnan(metric.value)
        ]
        reports.write_logs(conn, run.id, run.attempt, left_out)


def delete_tag(conn: Connection, run_id: str, key: str, *, caller: Caller) -> None:
    """Remove a tag. Raises NotFoundError."""
    run = writable_run(conn, run_id, caller=caller)
    if not tracking.drop_tag(conn, run.id, key):
        raise NotFoundError(f"This run has no tag '{key:.80}'.")


def link(
    conn: Connection,
    run_id: str,
    *,
    caller: Caller,
    kind: str,
    contents: Sequence[Mapping[str, Any]],
) -> None:
    """Note datasets or models that a run took or made; kind: dataset, model_input, model_output.

    What is noted already stays as it is: autologging says it again and again.
    """
    run = writable_run(conn, run_id, caller=caller)
    known = queries.find_links(conn, run.id, attempt=run.attempt, kind=kind)
    by_identity = {_linked(one): one for one in reversed(contents)}
    for one in known:
        by_identity.pop(_linked(one), None)
    new = list(reversed(by_identity.values()))
    tracking.add_links(conn, run.id, attempt=run.attempt, kind=kind, contents=new)


def _linked(content: Mapping[str, Any]) -> str:
    """What a link names: a model's id, a dataset's name and digest."""
    dataset = content.get("dataset")
    if isinstance(dataset, dict):
        return f"{dataset.get('name')}\n{dataset.get('digest')}"
    return str(content.get("model_id"))


def search(
    conn: Connection,
    *,
    caller: Caller,
    experiment_ids: Sequence[str | int],
    filter: str,
    order_by: Sequence[str],
    deleted: bool | None,
    limit: int,
    offset: int,
) -> list[Run]:
    """Runs of some experiments, by MLflow's search language. Raises MlqError (`invalid_filter`)."""
    wanted = [(one.kind, one.key, one.op, one.value) for one in parse_filter(filter)]
    orders = [(one.kind, one.key, one.descending) for one in parse_orders(order_by)]
    for kind, key, *_ in [*wanted, *orders]:
        if kind == "attribute" and key not in queries.RUN_ATTRIBUTES:
            raise MlqError(f"Runs have no attribute '{key}'.", code="invalid_filter")
    return queries.search(
        conn,
        experiment_ids=_numbers(conn, experiment_ids, caller=caller),
        wanted=wanted,
        orders=orders,
        deleted=deleted,
        project=caller.project,
        limit=limit,
        offset=offset,
    )


def writable_run(conn: Connection, run_id: str, *, caller: Caller) -> Run:
    """A run that the caller may write, which stays so for this transaction.

    A job's own code may write that job's run and those that it made itself.
    Raises NotFoundError, ForbiddenError.
    """
    run = find_bare_run(conn, run_id, caller=caller)
    scope = caller.attempt
    if scope is not None:
        owner, attempt = (
            (run.job_id, run.attempt) if run.job_id else (run.owner_id, run.owner_attempt)
        )
        if owner != scope.job_id or attempt != scope.attempt:
            raise ForbiddenError(
                f"Attempt {scope.attempt} of job {scope.job_id} may not write run {run.id}.",
                hint="Code inside a job may write its own run and those that it starts.",
            )
        _require_current(conn, scope)
    if run.job_id is None:
        tracking.hold_run(conn, run.id)  # one writer at a time: parameters do not change
    return run


def find_bare_run(conn: Connection, run_id: str, *, caller: Caller) -> Run:
    """A run without what hangs on it. Raises NotFoundError, also for another project's."""
    return _known(queries.find_bare_run(conn, _id(run_id), project=caller.project), run_id)


def _numbers(conn: Connection, experiment_ids: Sequence[str | int], *, caller: Caller) -> list[int]:
    """Experiments to search; those that there are not, or that are another's, find nothing."""
    found = []
    for text in map(str, experiment_ids):
        if text == "0":
            default = queries.find_experiment_by_name(conn, DEFAULT_EXPERIMENT, project=caller.home)
            found += [default.id] if default else []
        elif text.isascii() and text.isdecimal() and len(text) < 10:
            found.append(int(text))
    return found


# files


def add_file(
    conn: Connection,
    run_id: str,
    path: str,
    *,
    caller: Caller,
    digest: str,
    size_bytes: int,
) -> None:
    """Note a stored file of a run."""
    run = writable_run(conn, run_id, caller=caller)
    registry.add_artifacts(conn, [Artifact(digest, "blob", size_bytes)])
    tracking.put_file(conn, run.id, path, attempt=run.attempt, digest=digest, size_bytes=size_bytes)


def add_model_file(
    conn: Connection,
    model_id: str,
    path: str,
    *,
    caller: Caller,
    digest: str,
    size_bytes: int,
) -> None:
    """Note a stored file of a logged model."""
    model = writable_model(conn, model_id, caller=caller)
    registry.add_artifacts(conn, [Artifact(digest, "blob", size_bytes)])
    tracking.put_file(conn, model.id, path, attempt=0, digest=digest, size_bytes=size_bytes)


def delete_file(conn: Connection, run_id: str, path: str, *, caller: Caller) -> None:
    """Forget a file of a run. Raises NotFoundError."""
    run = writable_run(conn, run_id, caller=caller)
    if not tracking.drop_file(conn, run.id, path):
        raise NotFoundError(f"This run has no file '{path:.200}'.")


def files_of_run(
    conn: Connection, run_id: str, *, caller: Caller, below: str = ""
) -> list[TrackedFile]:
    """Files of a run, by path. Raises NotFoundError."""
    run = find_bare_run(conn, run_id, caller=caller)
    return queries.list_files(conn, run.id, attempt=run.attempt, below=below)


def file_of_run(conn: Connection, run_id: str, path: str, *, caller: Caller) -> TrackedFile:
    """One file of a run. Raises NotFoundError."""
    run = find_bare_run(conn, run_id, caller=caller)
    return _existing(queries.find_file(conn, run.id, path, attempt=run.attempt), path)


def files_of_model(
    conn: Connection, model_id: str, *, caller: Caller, below: str = ""
) -> list[TrackedFile]:
    """Files of a logged model, by path. Raises NotFoundError."""
    found = find_logged_model(conn, model_id, caller=caller)
    return queries.list_files(conn, found.id, attempt=0, below=below)


def file_of_model(conn: Connection, model_id: str, path: str, *, caller: Caller) -> TrackedFile:
    """One file of a logged model. Raises NotFoundError."""
    found = find_logged_model(conn, model_id, caller=caller)
    return _existing(queries.find_file(conn, found.id, path, attempt=0), path)


# logged models


def create_logged_model(
    conn: Connection,
    *,
    experiment: str | int,
    run_id: str | None,
    name: str,
    type: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    caller: Caller,
    model_id: str = "",
) -> LoggedModel:
    """Note a model that a run logs. Raises NotFoundError, ForbiddenError.

    model_id: the id that it has on the server that it is imported from; "" for a new one.
    """
    found = usable_experiment(conn, experiment, caller=caller)
    run = writable_run(conn, run_id, caller=caller) if run_id else None
    if run is None and caller.attempt is not None:
        raise ForbiddenError("Code inside a job logs models to a run of its own.")
    _check_pairs(params, what="parameter", limit=MAX_PARAM)
    _check_pairs(tags, what="tag", limit=MAX_TAG)
    chosen = model_id.removeprefix("m-")
    model_id = _chosen_id(conn, chosen, caller=caller) if chosen else new_id()
    check_text(name, what="name", limit=255)
    tracking.add_logged_model(
        conn,
        id=model_id,
        experiment_id=found.id,
        run_id=run.id if run else None,
        name=name or f"model-{model_id[-8:]}",
        type=type[:64],
        status="LOGGED_MODEL_PENDING",
        params=dict(params),
        tags=dict(tags),
    )
    return find_logged_model(conn, model_id, caller=caller)


def find_logged_model(conn: Connection, model_id: str, *, caller: Caller) -> LoggedModel:
    """A logged model; MLflow writes its id with "m-" before it.

    Raises NotFoundError, also for another project's.
    """
    plain = parse_id(model_id.removeprefix("m-"))
    found = queries.find_logged_model(conn, plain, project=caller.project) if plain else None
    if found is None:
        raise NotFoundError(f"There is no logged model '{model_id:.60}'.")
    return found


def search_logged_models(
    conn: Connection,
    *,
    caller: Caller,
    experiment_ids: Sequence[str | int],
    filter: str,
    orders: Sequence[tuple[str, bool]],
    datasets: Sequence[tuple[str, str]],
    limit: int,
    offset: int,
) -> list[LoggedModel]:
    """Logged models of some experiments. orders: (field, descending); datasets: (name, digest).

    Raises MlqError (code `invalid_filter`).
    """
    wanted = [(one.kind, one.key, one.op, one.value) for one in parse_filter(filter)]
    sorted_by = [
        (one.kind, one.key, descending)
        for field, descending in orders
        for one in parse_orders([field])
    ]
    for kind, key, *_ in [*wanted, *sorted_by]:
        if kind == "attribute" and key not in queries.MODEL_ATTRIBUTES:
            raise MlqError(f"Logged models have no attribute '{key}'.", code="invalid_filter")
    return queries.search_logged_models(
        conn,
        experiment_ids=_numbers(conn, experiment_ids, caller=caller),
        wanted=wanted,
        orders=sorted_by,
        datasets=datasets,
        project=caller.project,
        limit=limit,
        offset=offset,
    )


def writable_model(conn: Connection, model_id: str, *, caller: Caller) -> LoggedModel:
    """A logged model that the caller may write. Raises NotFoundError, ForbiddenError."""
    model = find_logged_model(conn, model_id, caller=caller)
    if caller.attempt is not None:
        if model.run_id is None:
            raise ForbiddenError("This model is of no run of the job.")
        writable_run(conn, model.run_id, caller=caller)
    return model


def change_logged_model(
    conn: Connection,
    model_id: str,
    *,
    caller: Caller,
    status: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Finish a logged model, or add tags or parameters."""
    model = writable_model(conn, model_id, caller=caller)
    columns: dict[str, Any] = {}
    if status is not None:
        columns["status"] = status[:32]
    if tags:
        _check_pairs(tags, what="tag", limit=MAX_TAG)
        columns["tags"] = {**model.tags, **tags}
    if params:
        _check_pairs(params, what="parameter", limit=MAX_PARAM)
        columns["params"] = {**model.params, **params}
    tracking.change_logged_model(conn, model.id, **columns)
    return find_logged_model(conn, model.id, caller=caller)


# checks


def _chosen_id(conn: Connection, text: str, *, caller: Caller) -> str:
    """An id that a client chose, for what it imports; no records may hang on it yet.

    Raises ConflictError (code `exists`) where something has it, whoever's that is.
    """
    if caller.attempt is not None:
        raise ForbiddenError("Code inside a job does not choose ids.")
    found = parse_id(text)
    if found is None:
        raise MlqError(f"'{text:.60}' is no id: 32 hex digits are.", code="invalid")
    if not queries.is_free(conn, found):
        raise ConflictError(f"There is something with the id {found} already.", code="exists")
    return found


def _require_current(conn: Connection, scope: AttemptScope | None) -> None:
    if scope is not None and not is_current(conn, scope.job_id, scope.attempt):
        raise ForbiddenError(
            f"Attempt {scope.attempt} of job {scope.job_id} has ended; what it says is not kept.",
            code="stale_attempt",
        )


def _id(text: str) -> str:
    found = parse_id(text) if isinstance(text, str) else None
    if found is None:
        raise NotFoundError(f"There is no run '{text!s:.60}'.")
    return found


def _known(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise NotFoundError(f"There is no run '{run_id:.60}'.")
    return run


def _existing(file: TrackedFile | None, path: str) -> TrackedFile:
    if file is None:
        raise NotFoundError(f"There is no file '{path:.200}'.")
    return file


def _check_key(key: str, *, what: str) -> None:
    if not 0 < len(key) <= MAX_KEY or not _KEY.fullmatch(key):
        raise MlqError(
            f"{key[:60]!r} cannot be the name of a {what}.",
            code="invalid",
            hint=f"Use 1 to {MAX_KEY} letters, digits, '_', '-', '.', '/', ':' and spaces.",
        )


def _check_pairs(values: Mapping[str, str], *, what: str, limit: int) -> None:
    for key, value in values.items():
        _check_key(key, what=what)
        check_text(value, what=f"{what} '{key}'", limit=limit)
