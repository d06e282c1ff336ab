"""Lineage, cards, making a version again, and deletion of what nobody uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from mlq.db import transitions
from mlq.db.queries import jobs as job_query
from mlq.errors import MlqError
from mlq.models.card import as_html, as_markdown, make_card
from mlq.models.package import read_mlmodel
from mlq.models.sameness import compare
from mlq.service import deletion, models, reproduction
from mlq.service import lineage as service
from mlq.service.jobs import Submitted
from mlq.spec import compile_job, read_document
from mlq.spec.environments import FindEnvironment
from mlq.spec.plan import Plan
from mlq.spec.steps import FindComponent
from mlq_api.access import OF_DATA, OF_JOB, OF_MODEL, project_of
from mlq_api.auth import principal_of
from mlq_api.operations import PROBLEMS, Name, content
from mlq_api.routes.models import move_view, version_view
from mlq_api.schemas import Job
from mlq_api.server import Server, server_of
from mlq_api.views import job_tree
from mlq_api.wire import json_response

router = APIRouter(responses=PROBLEMS)
_VERSION = "/v1/models/{name}/versions/{version}"
_MOVES = 200


class LineageView(BaseModel):
    """What something came from (nearest first), and what uses it or came from it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": {"kind": "model", "uri": "models:/churn/3", "note": "production"},
                    "upstream": [{"kind": "data", "uri": "mlq:churn:7", "note": "preprocess.data"}],
                    "downstream": [
                        {
                            "kind": "deployment",
                            "uri": "churn/production",
                            "note": "follows @production",
                        }
                    ],
                }
            ]
        }
    )
    subject: dict[str, str]
    upstream: list[dict[str, str]]
    downstream: list[dict[str, str]]


class ComparisonView(BaseModel):
    """How a job that makes a version again differs from what made it first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "equal": True,
                    "steps": [
                        {
                            "path": "train",
                            "state": "succeeded",
                            "metrics": {"accuracy": [0.93, 0.93]},
                            "differing": [],
                        }
                    ],
                }
            ]
        }
    )
    equal: bool
    steps: list[dict[str, Any]]


@router.get(
    f"{_VERSION}/lineage",
    tags=["models"],
    dependencies=[OF_MODEL],
    response_model=LineageView,
    summary="What a model version came from, and who uses it",
)
async def of_model(request: Request, name: Name, version: Name) -> Response:
    """Jobs, data and models before it; deployments and jobs after it."""
    found = await server_of(request).read(service.of_model, name, version=version)
    return json_response(found.as_dict())


@router.get(
    "/v1/data/{name}/versions/{version}/lineage",
    tags=["data"],
    dependencies=[OF_DATA],
    response_model=LineageView,
    summary="What was made from a version of data",
)
async def of_data(request: Request, name: Name, version: Name) -> Response:
    """Jobs that were given it, models that they made, and deployments of these."""
    found = await server_of(request).read(service.of_data, name, version=version)
    return json_response(found.as_dict())


@router.get(
    f"{_VERSION}/card",
    tags=["models"],
    dependencies=[OF_MODEL],
    summary="The card of a model version",
    responses=content("text/markdown", example="# models:/churn/3", description="One page."),
    response_class=Response,
)
async def card(
    request: Request,
    name: Name,
    version: Name,
    form: Annotated[Literal["markdown", "html"], Query(alias="format")] = "markdown",
) -> Response:
    """Data, code, parameters, metrics, plots, environment, promotions; a file to save."""
    server = server_of(request)
    facts = await server.read(_facts, name, version)
    made = await server.files.call(_make_card, server, facts)
    text, kind = (as_html(made), "html") if form == "html" else (as_markdown(made), "markdown")
    # saved, not shown: nothing that users wrote becomes a page of the console's origin
    return Response(
        text,
        media_type=f"text/{kind}",
        headers={"content-disposition": f'attachment; filename="card.{kind[:4]}"'},
    )


@router.post(
    f"{_VERSION}/reproduce",
    tags=["models"],
    dependencies=[OF_MODEL],
    status_code=201,
    response_model=Job,
    summary="Run again what made a version",
)
async def reproduce(request: Request, name: Name, version: Name) -> Response:
    """The steps it came from, on the same data; nothing is registered or deployed."""
    server, actor = server_of(request), principal_of(request).name

    def compile_text(
        text: str, media_type: str, components: FindComponent, environments: FindEnvironment
    ) -> Plan:
        return compile_job(
            read_document(text, media_type=media_type),
            computes=None,
            compute_aliases=server.settings.computes,
            components=components,
            environments=environments,
        )

    def write(conn: Connection) -> tuple[Submitted, dict[str, Any]]:
        submitted = reproduction.reproduce(
            conn,
            name,
            version=version,
            actor=actor,
            windows=server.windows,
            compile_text=compile_text,
        )
        return submitted, job_tree(conn, submitted.job_id, depth=1)

    submitted, view = await server.write(write)
    server.publish(submitted.deliveries)
    return json_response(view, status=201)


@router.get(
    f"{_VERSION}/comparison",
    tags=["models"],
    dependencies=[OF_MODEL],
    response_model=ComparisonView,
    summary="Compare a job with what made a version",
)
async def comparison(
    request: Request,
    name: Name,
    version: Name,
    job: Annotated[str, Query(max_length=255, description="Id of the job.")],
) -> Response:
    """Step by step: metrics, and outputs file by file."""
    server = server_of(request)
    job_id = await server.read(job_query.find, job, project=project_of(request))
    steps = await server.read(reproduction.pairs, name, version=version, job_id=job_id)
    return json_response(await server.files.call(compare, server.store, steps))


@router.delete(
    _VERSION, tags=["models"], dependencies=[OF_MODEL], status_code=204, summary="Delete a version"
)
async def delete_version(request: Request, name: Name, version: Name) -> Response:
    """Refused while it is in use (409), with by what."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(deletion.delete_model_version, name, version=version, actor=actor)
    return Response(status_code=204)


@router.delete(
    "/v1/models/{name}",
    tags=["models"],
    dependencies=[OF_MODEL],
    status_code=204,
    summary="Delete a model",
)
async def delete_model(request: Request, name: Name) -> Response:
    """With its versions and aliases; refused while one of them is in use (409)."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(deletion.delete_model, name, actor=actor)
    return Response(status_code=204)


@router.delete(
    "/v1/data/{name}/versions/{version}",
    tags=["data"],
    dependencies=[OF_DATA],
    status_code=204,
    summary="Delete a version of data",
)
async def delete_data(request: Request, name: Name, version: Name) -> Response:
    """Refused while it is in use, also by a model that was trained on it (409)."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(deletion.delete_data_version, name, version=version, actor=actor)
    return Response(status_code=204)


@router.delete(
    "/v1/jobs/{ref}",
    tags=["jobs"],
    dependencies=[OF_JOB],
    status_code=204,
    summary="Delete a finished job",
)
async def delete_job(request: Request, ref: Name) -> Response:
    """With its steps, metrics and logs; refused while a model is there that it made (409)."""
    server, actor = server_of(request), principal_of(request).name

    def write(conn: Connection) -> None:
        job_id = job_query.find(conn, ref)
        transitions.lock_root(conn, job_id)
        row = job_query.read(conn, job_id)
        deletion.delete_job(conn, job_id, root_id=row["root_id"], state=row["state"], actor=actor)

    await server.write(write)
    return Response(status_code=204)


def _facts(conn: Connection, name: str, version: str) -> dict[str, Any]:
    found = models.find_version(conn, name, version=version)
    made = service.of_model(conn, name, version=found.version)
    moves = [
        move
        for move in models.history(conn, name, limit=_MOVES)
        if found.version in (move.version, move.previous)
    ]
    metrics = job_query.newest_metrics(conn, [row["id"] for row in made.jobs])
    return {
        "version": version_view(found),
        "lineage": made.as_dict(),
        "code": [(row["path"] or row["display_name"], row["spec_digest"]) for row in made.jobs],
        "moves": [move_view(move) for move in moves],
        "folds": {key: value for found in metrics.values() for key, value in found.items()},
        "plots": [
            row["outputs"]["plots"]["digest"]
            for row in made.jobs
            if "digest" in (row["outputs"] or {}).get("plots", {})
        ],
    }


def _make_card(server: Server, facts: dict[str, Any]) -> Any:
    store = server.store
    try:
        package = store.fetch(facts["version"]["digest"], kind="tree")
        metadata = (read_mlmodel(package).get("metadata") or {}).get("mlq") or {}
        requirements = _lines(package / "requirements.txt")
    except MlqError:
        metadata, requirements = {}, []  # a package that a client wrote
    plots: dict[str, bytes] = {}
    for digest in facts.pop("plots"):
        folder = store.fetch(digest, kind="tree")
        plots |= {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}
    return make_card(**facts, metadata=metadata, requirements=requirements, plots=plots)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []
