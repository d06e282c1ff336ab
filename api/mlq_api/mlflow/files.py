"""`mlflow-artifacts`: files of runs, logged models and model versions, through this server.

Addresses are what `artifact_uri` says: `EXPERIMENT/RUN/artifacts/PATH`,
`EXPERIMENT/models/MODEL/artifacts/PATH`, `versions/NAME/VERSION/PATH` (which only reads). None of
it is a path of the store, where everything lies by its digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from mlq.artifacts.digests import check_path
from mlq.db.queries import runs as queries
from mlq.db.queries.runs import TrackedFile
from mlq.db.registry import ModelVersion
from mlq.errors import ForbiddenError, MlqError, NotFoundError
from mlq.service import models as registered
from mlq.service import projects
from mlq.service import tracking as service
from mlq_api.access import BY_METHOD
from mlq_api.bodies import store_body
from mlq_api.downloads import send_blob
from mlq_api.mlflow.wire import MlflowRoute, caller_of
from mlq_api.server import Server, server_of
from mlq_api.wire import json_response

router = APIRouter(prefix="/mlflow-artifacts", route_class=MlflowRoute)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is. kind: run, model or version; path: below it, "" for all of it."""

    kind: str
    owner: str
    path: str
    version: str = ""


def place_of(address: str) -> Place:
    """What an address means. Raises NotFoundError, MlqError for a path that cannot be one."""
    parts = [part for part in address.split("/") if part]
    rest: list[str]
    if len(parts) >= 3 and parts[0] == "versions":
        place, rest = Place("version", parts[1], "", parts[2]), parts[3:]
    elif len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        place, rest = Place("model", parts[2], ""), parts[4:]
    elif len(parts) >= 3 and parts[2] == "artifacts":
        place, rest = Place("run", parts[1], ""), parts[3:]
    else:
        raise NotFoundError(
            f"There are no artifacts at '{address:.200}'.",
            hint="Use the artifact_uri of a run.",
        )
    path = "/".join(rest)
    if path:
        if len(path) > 500:
            raise MlqError("The path is longer than 500 characters.", code="invalid")
        check_path(path)
    return Place(place.kind, place.owner, path, place.version)


@router.get("/artifacts", dependencies=[BY_METHOD])
async def list_artifacts(request: Request) -> Response:
    """Files and folders directly below a path."""
    place = place_of(request.query_params.get("path", ""))
    files = await _files(request, place)
    return json_response({"files": _level(files, below=place.path)})


@router.get("/artifacts/{address:path}", dependencies=[BY_METHOD])
async def download(request: Request, address: str) -> Response:
    """A file."""
    place = place_of(address)
    server, caller = server_of(request), caller_of(request)
    if place.kind == "version":
        found = next((one for one in await _files(request, place) if one.path == place.path), None)
        if found is None:
            raise NotFoundError(f"There is no file '{place.path:.200}'.")
    else:

        def read(conn: Connection) -> TrackedFile:
            _require_readable(conn, place, caller)
            find = service.file_of_run if place.kind == "run" else service.file_of_model
            return find(conn, place.owner, place.path, caller=caller)

        found = await server.read(read)
    return await send_blob(server, found.digest, file_name=place.path.rpartition("/")[2])


@router.put("/artifacts/{address:path}", dependencies=[BY_METHOD])
async def upload(request: Request, address: str) -> Response:
    """Store a file; the body is streamed."""
    place = place_of(address)
    if not place.path:
        raise MlqError("The address names no file.", code="invalid")
    server, caller = server_of(request), caller_of(request)
    if place.kind == "version":
        raise _read_only()
    check: Callable[..., Any] = (
        service.writable_run if place.kind == "run" else service.writable_model
    )
    await server.write(check, place.owner, caller=caller)  # before a large body is taken
    blob = await store_body(request, server)
    add = service.add_file if place.kind == "run" else service.add_model_file
    await server.write(
        add,
        place.owner,
        place.path,
        caller=caller,
        digest=blob.digest,
        size_bytes=blob.size_bytes,
    )
    return json_response({})


@router.delete("/artifacts/{address:path}", dependencies=[BY_METHOD])
async def delete(request: Request, address: str) -> Response:
    """Forget a file of a run."""
    place = place_of(address)
    if place.kind != "run":
        raise _read_only()
    await server_of(request).write(
        service.delete_file, place.owner, place.path, caller=caller_of(request)
    )
    return json_response({})


async def _files(request: Request, place: Place) -> list[TrackedFile]:
    server, caller = server_of(request), caller_of(request)
    if place.kind == "version":
        if caller.attempt is not None:
            raise ForbiddenError(
                "Code inside a job does not reach the registry.",
                hint="Take a model as an input of the job.",
            )

        def look(conn: Connection) -> ModelVersion:
            projects.require_name(conn, "model", place.owner, caller.project)
            return registered.find_version(conn, place.owner, version=place.version)

        version = await server.read(look)
        return await server.files.call(_files_of_tree, server, version.digest)

    def read(conn: Connection) -> list[TrackedFile]:
        _require_readable(conn, place, caller)
        find = service.files_of_run if place.kind == "run" else service.files_of_model
        return find(conn, place.owner, caller=caller, below=place.path)

    return await server.read(read)


def _files_of_tree(server: Server, digest: str) -> list[TrackedFile]:
    return [
        TrackedFile(entry.path, entry.digest, entry.size_bytes)
        for entry in server.store.tree(digest).entries
    ]


def _require_readable(conn: Connection, place: Place, caller: service.Caller) -> None:
    """Code inside a job reads the files of its own runs only."""
    if caller.attempt is None:
        return
    run_id: str | None = place.owner
    if place.kind == "model":
        run_id = service.find_logged_model(conn, place.owner, caller=caller).run_id
    run = queries.find_bare_run(conn, run_id, project=caller.project) if run_id else None
    if run is None or caller.attempt.job_id not in (run.job_id, run.owner_id):
        raise ForbiddenError("Code inside a job reads the files of its own runs only.")


def _read_only() -> ForbiddenError:
    return ForbiddenError("Files of models and their versions do not change.")


def _level(files: Iterable[TrackedFile], *, below: str) -> list[dict[str, Any]]:
    """The files and folders directly below `below`, by name."""
    prefix = f"{below}/" if below else ""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        if not file.path.startswith(prefix):
            continue
        name, slash, _ = file.path[len(prefix) :].partition("/")
        if slash:
            found[name] = {"path": name, "is_dir": True}
        else:
            found[name] = {"path": name, "is_dir": False, "file_size": file.size_bytes}
    return [found[name] for name in sorted(found)]
