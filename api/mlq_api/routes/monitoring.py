"""How the versions behind an endpoint do: drift, and the truth about predictions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mlq.db.monitoring import Report
from mlq.db.routing import Deployment
from mlq.service import monitoring as service
from mlq_api.access import OF_ENDPOINT
from mlq_api.bodies import parse
from mlq_api.monitoring_schemas import Drift, Feedback, Kept, SampledRequest
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, number_of, takes
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(responses=PROBLEMS, dependencies=[OF_ENDPOINT])


@router.get(
    "/v1/endpoints/{name}/drift",
    tags=["endpoints"],
    response_model=Drift,
    summary="How far requests have moved from the training rows",
)
async def drift(request: Request, name: Name) -> Response:
    """The last report on each deployment's version: features, predictions, live accuracy."""
    found = await server_of(request).read(service.list_reports, name)
    return json_response({"items": [_view(deployment, report) for deployment, report in found]})


@router.get(
    "/v1/endpoints/{name}/samples",
    tags=["endpoints"],
    response_model=Page[SampledRequest],
    summary="Requests that were sampled",
)
async def samples(
    request: Request,
    name: Name,
    limit: Limit = 50,
    cursor: Cursor = None,
    deployment: Annotated[str | None, Query(max_length=64)] = None,
    request_id: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Newest first: what was asked, what was answered, and the truth where it is known."""
    found = await server_of(request).read(
        service.list_samples,
        name,
        limit=limit + 1,
        deployment=deployment,
        request_id=request_id,
        before=number_of(cursor),
    )
    views = [_sample_view(row) for row in found]
    return json_response(page_of(views, limit=limit, cursors=[row.id for row in found]))


@router.post(
    "/endpoints/{name}/feedback",
    tags=["inference"],
    response_model=Kept,
    summary="Tell what turned out to be true",
    openapi_extra=takes(Feedback),
)
async def feedback(request: Request, name: Name) -> Response:
    """`{"request_id", "truth"}`, or up to 1,000 of them as `{"items": […]}`.

    request_id: what the header `x-request-id` of the answer said. truth: a value for each row.
    """
    body = parse(Feedback, await request.body()).model_dump(exclude_unset=True)
    kept = await server_of(request).write(service.give_feedback, name, body)
    return json_response({"kept": kept})


def _sample_view(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": iso(row.at),
        "request_id": row.request_id,
        "deployment": row.deployment,
        "version": row.version,
        "is_copy": row.is_copy,
        "rows": row.count,
        "columns": row.columns,
        "predictions": row.predictions,
        "truth": row.truth,
    }


def _view(deployment: Deployment, report: Report | None) -> dict[str, Any]:
    result = {} if report is None else report.result
    return {
        "deployment": deployment.name,
        "model": f"models:/{deployment.model_name}/{deployment.version}",
        "sampling_rate": deployment.settings.get("sampling_rate", 0.0),
        "at": None if report is None else iso(report.at),
        "rows": 0 if report is None else report.rows,
        "has_profile": result.get("has_profile", False),
        "features": result.get("features", []),
        "prediction": result.get("prediction"),
        "live": result.get("live", {"truths": 0}),
        "breaches": result.get("breaches", []),
    }
