"""`mlflow/registered-models` and `mlflow/model-versions`: mlq's own registry in MLflow's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from mlq.artifacts.trees import Entry
from mlq.db import registry, tracking
from mlq.db.queries import runs as queries
from mlq.db.registry import Model, ModelVersion
from mlq.errors import MlqError, NotFoundError
from mlq.ids import parse_id
from mlq.service import models as service
from mlq.service import projects
from mlq.service import tracking as tracks
from mlq.service.run_filters import Comparison, parse_filter
from mlq_api.access import BY_METHOD, project_of
from mlq_api.auth import principal_of
from mlq_api.mlflow.files import Place, place_of
from mlq_api.mlflow.wire import Asked, RegistryRoute, caller_of, millis, next_token, pairs_view
from mlq_api.server import Server, server_of
from mlq_api.wire import json_response

router = APIRouter(prefix="/mlflow", route_class=RegistryRoute)


def _actor(request: Request) -> str:
    return principal_of(request).name


def _require(conn: Connection, name: str, request: Request) -> None:
    """Raise NotFoundError unless the caller's project has this model."""
    projects.require_name(conn, "model", name, project_of(request))


# models


@router.post("/registered-models/create", dependencies=[BY_METHOD])
async def create_model(request: Request) -> Response:
    """Make a model without versions."""
    asked, actor = await Asked.read(request), _actor(request)
    name, tags = asked.text("name"), asked.pairs("tags")

    def write(conn: Connection) -> dict[str, Any]:
        projects.own_name(conn, "model", name, project_of(request))
        service.create(conn, name, description=asked.text("description", default=""), actor=actor)
        for key, value in tags.items():
            tracking.put_model_tag(conn, name, key, value)
        return _model(conn, name)

    return json_response({"registered_model": await server_of(request).write(write)})


@router.get("/registered-models/get", dependencies=[BY_METHOD])
async def get_model(request: Request) -> Response:
    """A model with its newest version."""
    name = (await Asked.read(request)).text("name")
    return json_response({"registered_model": await _read_model(request, name)})


async def _read_model(request: Request, name: str) -> dict[str, Any]:
    def read(conn: Connection) -> dict[str, Any]:
        _require(conn, name, request)
        return _model(conn, name)

    return await server_of(request).read(read)


@router.get("/registered-models/search", dependencies=[BY_METHOD])
async def search_models(request: Request) -> Response:
    """Models by name."""
    asked = await Asked.read(request)
    limit, offset = asked.integer("max_results", default=100, most=1000) or 100, asked.offset()
    wanted = parse_filter(asked.text("filter", default=""))

    def read(conn: Connection) -> list[dict[str, Any]]:
        rows = registry.page_models(
            conn,
            limit=limit + 1,
            offset=offset,
            wanted=[_of_models(one) for one in wanted],
            project=project_of(request),
        )
        return [_model(conn, row.name) for row in rows]

    found = await server_of(request).read(read)
    return json_response(
        {"registered_models": found[:limit], **next_token(found, offset=offset, limit=limit)}
    )


def _of_models(one: Comparison) -> registry.Wanted:
    if one.kind == "tag" or (one.kind == "attribute" and one.key == "name"):
        return one.kind, one.key, one.op, one.value
    raise MlqError(
        "Models are found by name or tag.", code="invalid_filter", hint="Write `name LIKE 'a%'`."
    )


@router.patch("/registered-models/update", dependencies=[BY_METHOD])
async def update_model(request: Request) -> Response:
    """Describe a model."""
    asked, actor = await Asked.read(request), _actor(request)
    name = asked.text("name")

    def write(conn: Connection) -> dict[str, Any]:
        _require(conn, name, request)
        service.describe(conn, name, description=asked.text("description", default=""), actor=actor)
        return _model(conn, name)

    return json_response({"registered_model": await server_of(request).write(write)})


@router.post("/registered-models/set-tag", dependencies=[BY_METHOD])
async def set_model_tag(request: Request) -> Response:
    """Set a tag of a model."""
    asked = await Asked.read(request)
    name = asked.text("name")

    def write(conn: Connection) -> None:
        _require(conn, name, request)
        service.find(conn, name)
        tracking.put_model_tag(conn, name, asked.text("key"), asked.text("value", default=""))

    await server_of(request).write(write)
    return json_response({})


@router.delete("/registered-models/delete-tag", dependencies=[BY_METHOD])
async def delete_model_tag(request: Request) -> Response:
    """Remove a tag of a model."""
    asked = await Asked.read(request)
    name = asked.text("name")

    def write(conn: Connection) -> None:
        _require(conn, name, request)
        service.find(conn, name)
        tracking.drop_model_tag(conn, name, asked.text("key"))

    await server_of(request).write(write)
    return json_response({})


@router.get("/registered-models/get-latest-versions", dependencies=[BY_METHOD])
@router.post("/registered-models/get-latest-versions", dependencies=[BY_METHOD])
async def latest_versions(request: Request) -> Response:
    """The newest version: mlq has no stages."""
    name = (await Asked.read(request)).text("name")
    found = await _read_model(request, name)
    return json_response({"model_versions": found["latest_versions"]})


@router.post("/registered-models/alias", dependencies=[BY_METHOD])
async def set_alias(request: Request) -> Response:
    """Put an alias on a version: a promotion, with its history."""
    asked, actor = await Asked.read(request), _actor(request)
    name = asked.text("name")

    def write(conn: Connection) -> None:
        _require(conn, name, request)
        service.set_alias(
            conn,
            name=name,
            alias=asked.text("alias"),
            version=asked.text("version"),
            actor=actor,
            reason="through MLflow's API",
        )

    await server_of(request).write(write)
    return json_response({})


@router.delete("/registered-models/alias", dependencies=[BY_METHOD])
async def delete_alias(request: Request) -> Response:
    """Take an alias away."""
    asked, actor = await Asked.read(request), _actor(request)
    name = asked.text("name")

    def write(conn: Connection) -> None:
        _require(conn, name, request)
        service.remove_alias(conn, name=name, alias=asked.text("alias"), actor=actor)

    await server_of(request).write(write)
    return json_response({})


@router.get("/registered-models/alias", dependencies=[BY_METHOD])
async def version_of_alias(request: Request) -> Response:
    """The version that an alias is on."""
    asked = await Asked.read(request)
    return await _answer_version(request, asked.text("name"), asked.text("alias"))


# versions


@router.post("/model-versions/create", dependencies=[BY_METHOD])
async def create_version(request: Request) -> Response:
    """Register what a run or a logged model holds as the next version."""
    asked, actor = await Asked.read(request), _actor(request)
    server = server_of(request)
    name, source = asked.text("name"), asked.text("source")
    model_id = parse_id(asked.text("model_id", default="").removeprefix("m-"))
    tags, description = asked.pairs("tags"), asked.text("description", default="")

    caller = caller_of(request)

    def look(conn: Connection) -> tuple[list[Entry], str | None]:
        _require(conn, name, request)
        service.find(conn, name)
        return _entries(conn, source, caller)

    entries, of_run = await server.read(look)
    run_id = parse_id(asked.text("run_id", default="")) or of_run
    tree = await server.files.call(_store_tree, server, entries, source)

    def write(conn: Connection) -> dict[str, Any]:
        run = queries.find_run(conn, run_id, project=caller.project) if run_id else None
        model = (
            queries.find_logged_model(conn, model_id, project=caller.project) if model_id else None
        )
        made = service.register(
            conn,
            name=name,
            digest=tree.digest,
            size_bytes=tree.size_bytes,
            actor=actor,
            job_id=(run.job_id or run.owner_id) if run else None,
            metrics={one.key: one.value for one in run.metrics} if run else {},
            description=description,
            tags=tags,
            project=caller.project,
            version=asked.integer("version", default=0) or None,  # mlq's own: of `mlq import`
        )
        tracking.add_version_source(
            conn,
            name=name,
            version=made.version,
            source=source,
            run_id=run.id if run else None,
            model_id=model.id if model else None,
        )
        return _version(conn, made)

    return json_response({"model_version": await server.write(write)})


def _entries(
    conn: Connection, source: str, caller: tracks.Caller
) -> tuple[list[Entry], str | None]:
    """The files that a source names, with paths below it, and the run that they are of."""
    if source.startswith("models:/m-"):
        place = Place("model", source.removeprefix("models:/"), "")
    elif source.startswith("runs:/"):
        run_id, _, path = source.removeprefix("runs:/").partition("/")
        place = Place("run", run_id, path.strip("/"))
    elif source.startswith("mlflow-artifacts:/"):
        place = place_of(source.partition(":")[2])
    else:
        raise MlqError(
            f"The source '{source:.200}' is not on this server.",
            code="invalid",
            hint="Log the model to a run here first, then register it from there.",
        )
    if place.kind == "version":
        raise MlqError(
            "A version of a model is not registered again.",
            code="invalid",
            hint="Put an alias on it instead.",
        )
    if place.kind == "model":
        files = tracks.files_of_model(conn, place.owner, caller=caller, below=place.path)
        run = tracks.find_logged_model(conn, place.owner, caller=caller).run_id
    else:
        files = tracks.files_of_run(conn, place.owner, caller=caller, below=place.path)
        run = parse_id(place.owner)
    if not files:
        raise NotFoundError(f"There are no files at '{source:.200}'.")
    start = len(place.path) + 1 if place.path else 0
    return [Entry(file.path[start:], file.digest, file.size_bytes) for file in files], run


def _store_tree(server: Server, entries: Sequence[Entry], source: str) -> Any:
    if not any(entry.path == "MLmodel" for entry in entries):
        raise MlqError(
            f"There is no MLmodel file at '{source:.200}': that is no MLflow model.",
            code="invalid",
        )
    return server.store.put_entries(entries)


@router.get("/model-versions/get", dependencies=[BY_METHOD])
async def get_version(request: Request) -> Response:
    """A version."""
    asked = await Asked.read(request)
    return await _answer_version(request, asked.text("name"), asked.text("version"))


async def _answer_version(request: Request, name: str, version: str) -> Response:
    def read(conn: Connection) -> dict[str, Any]:
        _require(conn, name, request)
        return _version(conn, service.find_version(conn, name, version=version))

    return json_response({"model_version": await server_of(request).read(read)})


@router.get("/model-versions/get-download-uri", dependencies=[BY_METHOD])
async def download_uri(request: Request) -> Response:
    """Where a version's files are."""
    asked = await Asked.read(request)
    name = asked.text("name")

    def read(conn: Connection) -> ModelVersion:
        _require(conn, name, request)
        return service.find_version(conn, name, version=asked.text("version"))

    return json_response({"artifact_uri": _address(await server_of(request).read(read))})


@router.patch("/model-versions/update", dependencies=[BY_METHOD])
async def update_version(request: Request) -> Response:
    """Describe a version."""
    asked = await Asked.read(request)
    return await _change_version(request, asked, description=asked.text("description", default=""))


@router.post("/model-versions/set-tag", dependencies=[BY_METHOD])
async def set_version_tag(request: Request) -> Response:
    """Set a tag of a version."""
    asked = await Asked.read(request)
    tags = {asked.text("key"): asked.text("value", default="")}
    return await _change_version(request, asked, tags=tags)


@router.delete("/model-versions/delete-tag", dependencies=[BY_METHOD])
async def delete_version_tag(request: Request) -> Response:
    """Remove a tag of a version."""
    asked = await Asked.read(request)
    return await _change_version(request, asked, tags={asked.text("key"): None})


async def _change_version(request: Request, asked: Asked, **changes: Any) -> Response:
    actor, name = _actor(request), asked.text("name")

    def write(conn: Connection) -> dict[str, Any]:
        _require(conn, name, request)
        changed = service.change_version(conn, name, asked.text("version"), actor=actor, **changes)
        return _version(conn, changed)

    return json_response({"model_version": await server_of(request).write(write)})


@router.get("/model-versions/search", dependencies=[BY_METHOD])
async def search_versions(request: Request) -> Response:
    """Versions of one model, or of one run."""
    asked = await Asked.read(request)
    limit, offset = asked.integer("max_results", default=100, most=10_000) or 100, asked.offset()
    wanted = parse_filter(asked.text("filter", default=""))

    def read(conn: Connection) -> list[dict[str, Any]]:
        rows = registry.search_versions(
            conn,
            wanted=[_of_versions(one) for one in wanted],
            limit=limit + 1,
            offset=offset,
            project=project_of(request),
        )
        return [_version(conn, row) for row in rows]

    found = await server_of(request).read(read)
    return json_response(
        {"model_versions": found[:limit], **next_token(found, offset=offset, limit=limit)}
    )


def _of_versions(one: Comparison) -> registry.Wanted:
    known = {"name": "name", "id": "run_id", "version": "version"}
    if one.kind == "tag":
        return one.kind, one.key, one.op, one.value
    if one.kind != "attribute" or one.key not in known:
        raise MlqError(
            "Versions are found by name, run_id, version_number or tag.",
            code="invalid_filter",
            hint="Write `name = 'churn'`.",
        )
    return one.kind, known[one.key], one.op, one.value


# views


def _address(row: ModelVersion) -> str:
    return f"mlflow-artifacts:/versions/{row.name}/{row.version}"


def _version(conn: Connection, row: ModelVersion) -> dict[str, Any]:
    source = queries.find_version_source(conn, row.name, row.version)
    view = {
        "name": row.name,
        "version": str(row.version),
        "creation_timestamp": millis(row.created_at),
        "last_updated_timestamp": millis(row.created_at),
        "current_stage": "None",
        "description": row.description,
        "source": source.source if source else _address(row),
        "run_id": (source.run_id if source else row.job_id) or "",
        "status": "READY",
        "tags": pairs_view({key: str(value) for key, value in row.tags.items()}),
        "aliases": list(row.aliases),
        "user_id": row.created_by,
    }
    if source and source.model_id:
        view["model_id"] = f"m-{source.model_id}"
    return view


def _model(conn: Connection, name: str) -> dict[str, Any]:
    row: Model = service.find(conn, name)
    newest = (
        registry.find_model_version(conn, name, row.latest_version) if row.latest_version else None
    )
    return {
        "name": row.name,
        "creation_timestamp": millis(row.created_at),
        "last_updated_timestamp": millis(newest.created_at if newest else row.created_at),
        "description": row.description,
        "latest_versions": [_version(conn, newest)] if newest else [],
        "tags": pairs_view(queries.tags_of_models(conn, [name]).get(name, {})),
        "aliases": [
            {"alias": alias, "version": str(version)} for alias, version in row.aliases.items()
        ],
    }
