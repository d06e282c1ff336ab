"""`/v1/jobs/{ref}/outputs`: what a job gives back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from mlq.db.queries import jobs as query
from mlq.errors import NotFoundError, nearest
from mlq_api.access import OF_JOB
from mlq_api.downloads import send_blob, send_entry, send_tree
from mlq_api.operations import PROBLEMS, Name, Ref, content
from mlq_api.schemas import Output
from mlq_api.server import server_of
from mlq_api.views import output_views
from mlq_api.wire import json_response

router = APIRouter(
    prefix="/v1/jobs/{ref}/outputs", tags=["jobs"], responses=PROBLEMS, dependencies=[OF_JOB]
)

_FILE = content("application/octet-stream", example="…", description="The bytes.")


@router.get("", response_model=dict[str, Output], summary="List a job's outputs")
async def list_outputs(request: Request, ref: Ref) -> Response:
    """By name: literals with their value, bytes with their digest and address."""

    def read(conn: Connection) -> dict[str, Any]:
        row = query.read(conn, query.find(conn, ref))
        return output_views(row["id"], row["outputs"])

    return json_response(await server_of(request).read(read))


@router.get("/{name}", summary="Download an output", responses=_FILE, response_class=Response)
async def download(
    request: Request,
    ref: Ref,
    name: Name,
    format: Annotated[
        Literal["tar", "json"], Query(description="Of a folder: as tar, or its list of files.")
    ] = "json",
) -> Response:
    """A file as it is; of a folder its files as JSON, or all of it as tar; a literal as JSON."""
    server = server_of(request)
    output = await server.read(_find_output, ref, name)
    if "digest" not in output:
        return json_response(output.get("value"))
    if output.get("kind") != "tree":
        return await send_blob(server, output["digest"], file_name=output.get("name") or name)
    if format == "tar":
        return await send_tree(server, output["digest"], name=name)
    tree = await server.files.call(server.store.tree, output["digest"])
    items = [
        {"path": entry.path, "digest": entry.digest, "size_bytes": entry.size_bytes}
        for entry in tree.entries
    ]
    return json_response({"items": items, "next_cursor": None})


@router.get(
    "/{name}/{path:path}",
    summary="Download one file of a folder",
    responses=_FILE,
    response_class=Response,
)
async def download_file(request: Request, ref: Ref, name: Name, path: str) -> Response:
    """path: as the folder's list names it."""
    server = server_of(request)
    output = await server.read(_find_output, ref, name)
    if output.get("kind") != "tree":
        raise NotFoundError(f"Output '{name}' is not a folder.")
    return await send_entry(server, output["digest"], path=path)


def _find_output(conn: Connection, ref: str, name: str) -> dict[str, Any]:
    row = query.read(conn, query.find(conn, ref))
    outputs: dict[str, Any] = row["outputs"] or {}
    if name not in outputs:
        close = nearest(name, outputs)
        known = f"It has {', '.join(outputs)}." if outputs else f"It is {row['state']}."
        raise NotFoundError(
            f"Job {row['id']} has no output '{name:.100}'.",
            hint=f"Did you mean '{close}'?" if close else known,
        )
    found: dict[str, Any] = outputs[name]
    return found
