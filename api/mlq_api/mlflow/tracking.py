"""`mlflow/experiments`, `mlflow/runs`, `mlflow/metrics`, `mlflow/logged-models`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from mlq.db.queries import runs as queries
from mlq.db.reports import MetricValue
from mlq.errors import ForbiddenError, MlqError, NotFoundError
from mlq.service import tracking as service
from mlq.service.run_filters import parse_filter
from mlq_api.access import BY_METHOD, VIEWER
from mlq_api.auth import principal_of
from mlq_api.mlflow.wire import (
    MAX_PAGE,
    Asked,
    MlflowRoute,
    caller_of,
    experiment_view,
    logged_model_view,
    metric_view,
    next_token,
    run_view,
)
from mlq_api.server import server_of
from mlq_api.wire import json_response

router = APIRouter(prefix="/mlflow", route_class=MlflowRoute)
T = TypeVar("T")

_VIEWS = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}


async def _adopting(
    request: Request, find: Callable[[Connection], T], adopt: Callable[[Connection], T]
) -> T:
    """What `find` reads; where that is missing, what `adopt` makes of the jobs there are."""
    try:
        return await server_of(request).read(find)
    except NotFoundError:
        return await server_of(request).write(adopt)


# experiments


@router.post("/experiments/create", dependencies=[BY_METHOD])
async def create_experiment(request: Request) -> Response:
    """Make an experiment."""
    asked = await Asked.read(request)
    if caller_of(request).attempt is not None:
        raise ForbiddenError("Code inside a job runs in that job's experiment.")
    number = await server_of(request).write(
        service.create_experiment,
        asked.text("name"),
        caller=caller_of(request),
        tags=asked.pairs("tags"),
        actor=principal_of(request).name,
    )
    return json_response({"experiment_id": str(number)})


@router.get("/experiments/get-by-name", dependencies=[BY_METHOD])
async def get_experiment_by_name(request: Request) -> Response:
    """An experiment by the name that jobs carry."""
    name, caller = (await Asked.read(request)).text("experiment_name"), caller_of(request)
    found = await _adopting(
        request,
        lambda conn: service.find_experiment_by_name(conn, name, caller=caller),
        lambda conn: service.adopt_experiment(conn, name, caller=caller),
    )
    return json_response({"experiment": experiment_view(found, caller)})


@router.get("/experiments/get", dependencies=[BY_METHOD])
async def get_experiment(request: Request) -> Response:
    """An experiment by number."""
    number, caller = (await Asked.read(request)).text("experiment_id"), caller_of(request)
    found = await _adopting(
        request,
        lambda conn: service.find_experiment(conn, number, caller=caller),
        lambda conn: service.usable_experiment(conn, number, caller=caller),
    )
    return json_response({"experiment": experiment_view(found, caller)})


@router.get("/experiments/search", dependencies=[BY_METHOD])
@router.post("/experiments/search", dependencies=[VIEWER])
async def search_experiments(request: Request) -> Response:
    """Experiments, those that only jobs name included."""
    asked = await Asked.read(request)
    limit, offset = (
        asked.integer("max_results", default=1000, most=MAX_PAGE) or 1000,
        asked.offset(),
    )
    if caller_of(request).attempt is not None:
        raise ForbiddenError("Code inside a job runs in that job's experiment.")
    deleted = _VIEWS.get(asked.text("view_type", default="ACTIVE_ONLY"), False)
    wanted = parse_filter(asked.text("filter", default=""))
    caller = caller_of(request)

    def find(conn: Connection) -> list[queries.Experiment]:
        service.adopt_experiments(conn, caller=caller)
        return queries.page_experiments(
            conn,
            wanted=[
                queries.experiment_comparison(one.kind, one.key, one.op, one.value)
                for one in wanted
            ],
            deleted=deleted,
            project=caller.project,
            limit=limit + 1,
            offset=offset,
        )

    found = await server_of(request).write(find)
    return json_response(
        {
            "experiments": [experiment_view(row, caller) for row in found[:limit]],
            **next_token(found, offset=offset, limit=limit),
        }
    )


async def _change_experiment(request: Request, **changes: Any) -> Response:
    asked = await Asked.read(request)
    if caller_of(request).attempt is not None:
        raise ForbiddenError("Code inside a job may not change experiments.")
    if "name" in changes:
        changes["name"] = asked.text("new_name")
    if "tags" in changes:
        changes["tags"] = {asked.text("key"): asked.text("value", default="")}
    await server_of(request).write(
        service.change_experiment,
        asked.text("experiment_id"),
        caller=caller_of(request),
        actor=principal_of(request).name,
        **changes,
    )
    return json_response({})


@router.post("/experiments/update", dependencies=[BY_METHOD])
async def update_experiment(request: Request) -> Response:
    """Rename it."""
    return await _change_experiment(request, name=None)


@router.post("/experiments/delete", dependencies=[BY_METHOD])
async def delete_experiment(request: Request) -> Response:
    """Hide it from searches."""
    return await _change_experiment(request, is_deleted=True)


@router.post("/experiments/restore", dependencies=[BY_METHOD])
async def restore_experiment(request: Request) -> Response:
    """Show it again."""
    return await _change_experiment(request, is_deleted=False)


@router.post("/experiments/set-experiment-tag", dependencies=[BY_METHOD])
async def set_experiment_tag(request: Request) -> Response:
    """Set a tag of an experiment."""
    return await _change_experiment(request, tags=None)


# runs


@router.post("/runs/create", dependencies=[BY_METHOD])
async def create_run(request: Request) -> Response:
    """Begin a run."""
    asked = await Asked.read(request)
    made = await server_of(request).write(
        service.start_run,
        experiment=asked.text("experiment_id", default="0"),
        name=asked.text("run_name", default=""),
        user=asked.text("user_id", default="") or principal_of(request).name,
        tags=asked.pairs("tags"),
        started_at=asked.moment("start_time"),
        caller=caller_of(request),
        run_id=asked.text("run_id", default=""),  # mlq's own: of `mlq import`
    )
    return json_response({"run": run_view(made)})


@router.get("/runs/get", dependencies=[BY_METHOD])
async def get_run(request: Request) -> Response:
    """A run with all that hangs on it."""
    run_id, caller = (await Asked.read(request)).text("run_id", "run_uuid"), caller_of(request)
    found = await _adopting(
        request,
        lambda conn: service.find_run(conn, run_id, caller=caller),
        lambda conn: service.adopt_run(conn, run_id, caller=caller),
    )
    _require_own(found, caller)
    return json_response({"run": run_view(found)})


@router.post("/runs/update", dependencies=[BY_METHOD])
async def update_run(request: Request) -> Response:
    """End or rename a run."""
    asked = await Asked.read(request)
    found = await server_of(request).write(
        service.change_run,
        asked.text("run_id", "run_uuid"),
        caller=caller_of(request),
        status=asked.text("status", default="") or None,
        name=asked.text("run_name", default="") or None,
        ended_at=asked.moment("end_time"),
    )
    return json_response({"run_info": run_view(found)["info"]})


@router.post("/runs/delete", dependencies=[BY_METHOD])
async def delete_run(request: Request) -> Response:
    """Hide a run."""
    return await _set_deleted(request, True)


@router.post("/runs/restore", dependencies=[BY_METHOD])
async def restore_run(request: Request) -> Response:
    """Show a run again."""
    return await _set_deleted(request, False)


async def _set_deleted(request: Request, is_deleted: bool) -> Response:
    asked = await Asked.read(request)
    await server_of(request).write(
        service.change_run,
        asked.text("run_id", "run_uuid"),
        caller=caller_of(request),
        is_deleted=is_deleted,
    )
    return json_response({})


@router.post("/runs/search", dependencies=[VIEWER])
async def search_runs(request: Request) -> Response:
    """Runs by MLflow's search language."""
    asked = await Asked.read(request)
    limit, offset = (
        asked.integer("max_results", default=1000, most=MAX_PAGE) or 1000,
        asked.offset(),
    )
    caller = caller_of(request)

    def find(conn: Connection) -> list[queries.Run]:
        return service.search(
            conn,
            caller=caller,
            experiment_ids=asked.texts("experiment_ids"),
            filter=asked.text("filter", default=""),
            order_by=asked.texts("order_by"),
            deleted=_VIEWS.get(asked.text("run_view_type", default="ACTIVE_ONLY"), False),
            limit=limit + 1,
            offset=offset,
        )

    found = await server_of(request).read(find)
    return json_response(
        {
            "runs": [run_view(row) for row in found[:limit] if _is_own(row, caller)],
            **next_token(found, offset=offset, limit=limit),
        }
    )


def _is_own(run: queries.Run, caller: service.Caller) -> bool:
    return caller.attempt is None or caller.attempt.job_id in (run.job_id, run.owner_id)


def _require_own(run: queries.Run, caller: service.Caller) -> None:
    if not _is_own(run, caller):
        raise ForbiddenError(
            f"Run {run.id} is not of this job.",
            hint="Code inside a job may track that job only.",
        )


async def _log(request: Request, run_id: str, **said: Any) -> Response:
    await server_of(request).write(service.log, run_id, caller=caller_of(request), **said)
    return json_response({})


def _metric(record: dict[str, Any]) -> MetricValue:
    asked = Asked(record, {})
    text = asked.text("value")
    try:
        value = float(text)
        step = int(float(asked.text("step", default="0")))
    except (ValueError, OverflowError):
        raise MlqError(f"The metric's value '{text:.40}' is no number.", code="invalid") from None
    if not -(2**62) < step < 2**62:
        raise MlqError("The metric's step does not fit 63 bits.", code="invalid")
    if math.isinf(value):  # as MLflow keeps it
        value = math.copysign(sys.float_info.max, value)
    return MetricValue(asked.text("key"), value, step, asked.moment("timestamp"))


_METRIC = ("key", "value", "step", "timestamp", "model_id", "dataset_name", "dataset_digest")


def _of_models(records: Sequence[dict[str, Any]]) -> list[service.Measured]:
    """Those metrics of a batch that were measured of a logged model."""
    return [
        service.Measured(
            str(record["model_id"]),
            _metric(record),
            str(record.get("dataset_name") or ""),
            str(record.get("dataset_digest") or ""),
        )
        for record in records
        if record.get("model_id")
    ]


@router.post("/runs/log-metric", dependencies=[BY_METHOD])
async def log_metric(request: Request) -> Response:
    """One value of a metric."""
    asked = await Asked.read(request)
    record = {name: asked.text(name, default="") or None for name in _METRIC}
    return await _log(
        request,
        asked.text("run_id", "run_uuid"),
        metrics=[_metric(record)],
        of_models=_of_models([record]),
    )


@router.post("/runs/log-parameter", dependencies=[BY_METHOD])
async def log_parameter(request: Request) -> Response:
    """One parameter."""
    asked = await Asked.read(request)
    params = {asked.text("key"): asked.text("value", default="")}
    return await _log(request, asked.text("run_id", "run_uuid"), params=params)


@router.post("/runs/set-tag", dependencies=[BY_METHOD])
async def set_tag(request: Request) -> Response:
    """One tag."""
    asked = await Asked.read(request)
    tags = {asked.text("key"): asked.text("value", default="")}
    return await _log(request, asked.text("run_id", "run_uuid"), tags=tags)


@router.post("/runs/delete-tag", dependencies=[BY_METHOD])
async def delete_tag(request: Request) -> Response:
    """Remove a tag."""
    asked = await Asked.read(request)
    await server_of(request).write(
        service.delete_tag, asked.text("run_id"), asked.text("key"), caller=caller_of(request)
    )
    return json_response({})


@router.post("/runs/log-batch", dependencies=[BY_METHOD])
async def log_batch(request: Request) -> Response:
    """Metrics, parameters and tags in one transaction."""
    asked = await Asked.read(request)
    records = asked.records("metrics")
    metrics = [_metric(record) for record in records]
    params, tags = asked.pairs("params"), asked.pairs("tags")
    if len(metrics) + len(params) + len(tags) > 2 * service.MAX_BATCH:
        raise MlqError(
            "The batch holds too much.", code="invalid", hint=f"Send {service.MAX_BATCH} at once."
        )
    return await _log(
        request,
        asked.text("run_id"),
        metrics=metrics,
        params=params,
        tags=tags,
        of_models=_of_models(records),
    )


@router.post("/runs/log-model", dependencies=[BY_METHOD])
async def log_model(request: Request) -> Response:
    """What an old client says of a model, kept as MLflow keeps it: a tag."""
    asked = await Asked.read(request)
    tags = {"mlflow.log-model.history": f"[{asked.text('model_json')}]"}
    return await _log(request, asked.text("run_id"), tags=tags)


async def _link(request: Request, kind: str, contents: list[Any], run_id: str) -> None:
    await server_of(request).write(
        service.link, run_id, caller=caller_of(request), kind=kind, contents=contents
    )


@router.post("/runs/log-inputs", dependencies=[BY_METHOD])
async def log_inputs(request: Request) -> Response:
    """Datasets and models that a run takes."""
    asked = await Asked.read(request)
    run_id = asked.text("run_id")
    await _link(request, "dataset", asked.records("datasets"), run_id)
    await _link(request, "model_input", asked.records("models"), run_id)
    return json_response({})


@router.post("/runs/outputs", dependencies=[BY_METHOD])
async def log_outputs(request: Request) -> Response:
    """Models that a run makes."""
    asked = await Asked.read(request)
    await _link(request, "model_output", asked.records("models"), asked.text("run_id"))
    return json_response({})


@router.get("/metrics/get-history", dependencies=[BY_METHOD])
async def metric_history(request: Request) -> Response:
    """Every value of a metric."""
    asked = await Asked.read(request)
    run_id, key = asked.text("run_id", "run_uuid"), asked.text("metric_key")
    limit, offset = (
        asked.integer("max_results", default=25_000, most=MAX_PAGE) or 25_000,
        asked.offset(),
    )
    caller = caller_of(request)

    def find(conn: Connection) -> list[queries.LatestMetric]:
        run = service.find_run(conn, run_id, caller=caller)
        _require_own(run, caller)
        return queries.metric_history(
            conn, run.id, key, attempt=run.attempt, limit=limit + 1, offset=offset
        )

    found = await server_of(request).read(find)
    return json_response(
        {
            "metrics": [metric_view(one) for one in found[:limit]],
            **next_token(found, offset=offset, limit=limit),
        }
    )


# logged models


@router.post("/logged-models", dependencies=[BY_METHOD])
async def create_logged_model(request: Request) -> Response:
    """Note a model that a run logs."""
    asked = await Asked.read(request)
    made = await server_of(request).write(
        service.create_logged_model,
        experiment=asked.text("experiment_id", default="0"),
        run_id=asked.text("source_run_id", default="") or None,
        name=asked.text("name", default=""),
        type=asked.text("model_type", default=""),
        params=asked.pairs("params"),
        tags=asked.pairs("tags"),
        caller=caller_of(request),
        model_id=asked.text("model_id", default=""),  # mlq's own: of `mlq import`
    )
    return json_response(logged_model_view(made))


@router.post("/logged-models/search", dependencies=[VIEWER])
async def search_logged_models(request: Request) -> Response:
    """Logged models by MLflow's search language."""
    asked = await Asked.read(request)
    limit, offset = asked.integer("max_results", default=50, most=MAX_PAGE) or 50, asked.offset()
    if caller_of(request).attempt is not None:
        raise ForbiddenError("Code inside a job may not search the models of others.")
    orders = [Asked(record, {}) for record in asked.records("order_by")]
    datasets = [Asked(record, {}) for record in asked.records("datasets")]
    found = await server_of(request).read(
        service.search_logged_models,
        caller=caller_of(request),
        experiment_ids=asked.texts("experiment_ids"),
        filter=asked.text("filter", default=""),
        orders=[
            (one.text("field_name"), one.text("ascending", default="true") == "false")
            for one in orders
        ],
        datasets=[
            (one.text("dataset_name"), one.text("dataset_digest", default="")) for one in datasets
        ],
        limit=limit + 1,
        offset=offset,
    )
    return json_response(
        {
            "models": [logged_model_view(row)["model"] for row in found[:limit]],
            **next_token(found, offset=offset, limit=limit),
        }
    )


@router.get("/logged-models/{model_id}", dependencies=[BY_METHOD])
async def get_logged_model(request: Request, model_id: str) -> Response:
    """A logged model."""
    found = await server_of(request).read(
        service.find_logged_model, model_id, caller=caller_of(request)
    )
    return json_response(logged_model_view(found))


@router.patch("/logged-models/{model_id}", dependencies=[BY_METHOD])
async def finish_logged_model(request: Request, model_id: str) -> Response:
    """Say that it is complete, or that it failed."""
    asked = await Asked.read(request)
    found = await server_of(request).write(
        service.change_logged_model,
        model_id,
        caller=caller_of(request),
        status=asked.text("status"),
    )
    return json_response(logged_model_view(found))


@router.patch("/logged-models/{model_id}/tags", dependencies=[BY_METHOD])
async def tag_logged_model(request: Request, model_id: str) -> Response:
    """Set tags of a logged model."""
    asked = await Asked.read(request)
    found = await server_of(request).write(
        service.change_logged_model,
        model_id,
        caller=caller_of(request),
        tags=asked.pairs("tags"),
    )
    return json_response(logged_model_view(found))


@router.post("/logged-models/{model_id}/params", dependencies=[BY_METHOD])
async def add_logged_model_params(request: Request, model_id: str) -> Response:
    """Add parameters of a logged model."""
    asked = await Asked.read(request)
    found = await server_of(request).write(
        service.change_logged_model,
        model_id,
        caller=caller_of(request),
        params=asked.pairs("params"),
    )
    return json_response(logged_model_view(found))
