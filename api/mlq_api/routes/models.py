"""`/v1/models`: versions, aliases, promotion and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from mlq.db.projects import DEFAULT
from mlq.db.registry import AliasMove as MoveRow
from mlq.db.registry import Model as ModelRow
from mlq.db.registry import ModelVersion as VersionRow
from mlq.errors import MlqError, NotFoundError
from mlq.service import models as service
from mlq.service import trees
from mlq_api.access import OF_MODEL, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.downloads import send_tree
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, content, number_of, takes
from mlq_api.schemas import (
    AliasAct,
    AliasChange,
    AliasHold,
    AliasMove,
    Model,
    ModelVersion,
    NewModelVersion,
    Page,
    Promotion,
    Rollback,
)
from mlq_api.server import server_of
from mlq_api.signatures import check_fits
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/models", tags=["models"], responses=PROBLEMS, dependencies=[OF_MODEL]
)

_SHOWN_VERSIONS = 20


@router.get("", response_model=Page[Model], summary="List models")
async def list_models(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name, with their aliases."""
    rows = await server_of(request).read(
        service.list_models, limit=limit + 1, after=cursor, project=project_of(request)
    )
    return json_response(
        page_of([_model_view(row) for row in rows], limit=limit, cursors=[row.name for row in rows])
    )


@router.get("/{name}", response_model=Model, summary="Show a model")
async def show(request: Request, name: Name) -> Response:
    """A model with its aliases and its newest versions."""

    def read(conn: Connection) -> dict[str, Any]:
        model = service.find(conn, name)
        versions = service.list_versions(conn, name, limit=_SHOWN_VERSIONS)
        return {**_model_view(model), "versions": [version_view(row) for row in versions]}

    return json_response(await server_of(request).read(read))


@router.get("/{name}/versions", response_model=Page[ModelVersion], summary="List versions")
async def list_versions(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Newest first."""
    before = number_of(cursor)
    rows = await server_of(request).read(
        service.list_versions, name, limit=limit + 1, before=before
    )
    return json_response(
        page_of(
            [version_view(row) for row in rows],
            limit=limit,
            cursors=[row.version for row in rows],
        )
    )


@router.post(
    "/{name}/versions",
    status_code=201,
    response_model=ModelVersion,
    responses={200: {"model": ModelVersion, "description": "These bytes are a version already."}},
    summary="Register a model",
    openapi_extra=takes(NewModelVersion),
)
async def create_version(request: Request, name: Name) -> Response:
    """A folder that was stored with `PUT /v1/trees`; `mlq:register` does so in a pipeline."""
    server, project = server_of(request), project_of(request)
    new = parse(NewModelVersion, await request.body())
    if not await server.write(trees.has_tree, new.digest, project=project):
        raise NotFoundError(
            f"There is no folder {new.digest}.",
            hint=f"Send its list with PUT /v1/trees/{new.digest}.",
        )
    tree = await server.files.call(server.store.tree, new.digest)
    if new.type == "mlflow_model" and all(entry.path != "MLmodel" for entry in tree.entries):
        raise MlqError("An mlflow_model is a folder with a file MLmodel in it.", code="invalid")
    made, is_new = await server.write(
        service.add,
        name=name,
        digest=new.digest,
        size_bytes=tree.size_bytes,
        actor=principal_of(request).name,
        description=new.description,
        tags=new.tags,
        project=project or DEFAULT,
        version=new.version,
    )
    return json_response(
        version_view(made),
        status=201 if is_new else 200,
        headers={"location": f"/v1/models/{made.name}/versions/{made.version}"},
    )


@router.get("/{name}/versions/{version}", response_model=ModelVersion, summary="Show a version")
async def show_version(request: Request, name: Name, version: Name) -> Response:
    """version: a number, `latest` or an alias."""
    row = await server_of(request).read(service.find_version, name, version=version)
    return json_response(version_view(row))


@router.get(
    "/{name}/versions/{version}/package",
    summary="Download a model package",
    responses=content("application/x-tar", example="…", description="An MLflow-format folder."),
    response_class=Response,
)
async def package(request: Request, name: Name, version: Name) -> Response:
    """The MLflow-format folder of a version, as tar."""
    server = server_of(request)
    row = await server.read(service.find_version, name, version=version)
    return await send_tree(server, row.digest, name=f"{row.name}-{row.version}")


@router.post(
    "/{name}/aliases",
    response_model=AliasChange,
    summary="Promote: move an alias to a version",
    openapi_extra=takes(Promotion),
)
async def promote(request: Request, name: Name) -> Response:
    """The alias is made where it does not exist; its history is kept."""
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(Promotion, await request.body())
    moved = await server.write(
        service.set_alias,
        name=name,
        alias=wanted.alias,
        version=wanted.version,
        actor=actor,
        reason=wanted.reason,
    )
    return json_response(_moved_view(moved))


@router.delete("/{name}/aliases/{alias}", response_model=AliasChange, summary="Remove an alias")
async def remove_alias(
    request: Request,
    name: Name,
    alias: Name,
    reason: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Refused while a deployment follows it (409)."""
    server, actor = server_of(request), principal_of(request).name
    moved = await server.write(
        service.remove_alias, name=name, alias=alias, actor=actor, reason=reason
    )
    return json_response(_moved_view(moved))


@router.post(
    "/{name}/rollback",
    response_model=AliasChange,
    summary="Roll back: put an alias where it was",
    openapi_extra=takes(Rollback),
)
async def rollback(request: Request, name: Name) -> Response:
    """To what it was before its last move that still stands, not to the highest number.

    Refused (409, `signature_differs`) where requests that suit the present version would fail,
    unless `force`. Pipelines leave the alias alone until it is resumed.
    """
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(Rollback, await request.body())
    if not wanted.force:
        await _check_signatures(request, name, wanted)
    moved = await server.write(
        service.rollback,
        name=name,
        alias=wanted.alias,
        to=wanted.to,
        actor=actor,
        reason=wanted.reason,
    )
    return json_response(_moved_view(moved))


@router.post(
    "/{name}/rollback/undo",
    response_model=AliasChange,
    summary="Undo a rollback",
    openapi_extra=takes(AliasAct),
)
async def undo_rollback(request: Request, name: Name) -> Response:
    """Back to what the alias was on before its last move, which was a rollback; and resumes it."""
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(AliasAct, await request.body())
    moved = await server.write(
        service.undo_rollback, name=name, alias=wanted.alias, actor=actor, reason=wanted.reason
    )
    return json_response(_moved_view(moved))


@router.post(
    "/{name}/resume",
    response_model=AliasHold,
    summary="Let pipelines move an alias again",
    openapi_extra=takes(AliasAct),
)
async def resume(request: Request, name: Name) -> Response:
    """After a rollback only people move an alias, until this."""
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(AliasAct, await request.body())
    changed = await server.write(
        service.resume, name=name, alias=wanted.alias, actor=actor, reason=wanted.reason
    )
    return json_response({"name": name, "alias": wanted.alias, "held": False, "changed": changed})


@router.get("/{name}/history", response_model=Page[AliasMove], summary="Moves of a model's aliases")
async def history(
    request: Request,
    name: Name,
    alias: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Newest first: who moved what, from where, and why."""
    before = number_of(cursor)
    rows = await server_of(request).read(
        service.history, name, alias=alias, limit=limit + 1, before=before
    )
    return json_response(
        page_of([move_view(row) for row in rows], limit=limit, cursors=[row.id for row in rows])
    )


def _model_view(row: ModelRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "description": row.description,
        "aliases": dict(row.aliases),
        "latest_version": row.latest_version,
        "created_at": iso(row.created_at),
    }


def version_view(row: VersionRow) -> dict[str, Any]:
    """A model version as JSON."""
    return {
        "name": row.name,
        "version": row.version,
        "uri": row.uri,
        "digest": row.digest,
        "job_id": row.job_id,
        "metrics": dict(row.metrics),
        "report": dict(row.report),
        "description": row.description,
        "aliases": list(row.aliases),
        "tags": dict(row.tags),
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
    }


def _moved_view(moved: service.Moved) -> dict[str, Any]:
    return {
        "name": moved.name,
        "alias": moved.alias,
        "version": moved.version,
        "previous": moved.previous,
        "changed": moved.changed,
        "endpoints": [
            {"endpoint": endpoint, "deployment": deployment}
            for endpoint, deployment in moved.endpoints
        ],
        "held": moved.is_held,
    }


async def _check_signatures(request: Request, name: str, wanted: Rollback) -> None:
    server = server_of(request)

    def plan(conn: Connection) -> tuple[VersionRow, VersionRow] | None:
        moved = service.plan_rollback(conn, name=name, alias=wanted.alias, to=wanted.to)
        if moved.previous is None or moved.version is None:
            return None  # the alias was removed: nothing answers now that could differ
        return (
            service.find_version(conn, name, version=moved.previous),
            service.find_version(conn, name, version=moved.version),
        )

    versions = await server.write(plan)
    if versions is not None:
        await server.files.call(check_fits, server.store, *versions)


def move_view(row: MoveRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "alias": row.alias,
        "version": row.version,
        "previous": row.previous,
        "act": row.act,
        "reason": row.reason,
        "actor": row.actor,
        "job_id": row.job_id,
        "at": iso(row.at),
    }
