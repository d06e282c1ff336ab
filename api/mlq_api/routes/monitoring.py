"""How the versions behind an endpoint do: drift, and the truth about predictions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from mlq.db.monitoring import Report
from mlq.db.routing import Deployment
from mlq.service import monitoring as service
from mlq_api.access import OF_ENDPOINT
from mlq_api.bodies import parse
from mlq_api.monitoring_schemas import Drift, Feedback, Kept
from mlq_api.operations import PROBLEMS, Name, takes
from mlq_api.server import server_of
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
