"""`/v1/data` and `/v1/blobs`: bytes, and the names that datasets give them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import Connection

from mlq.artifacts import Tree
from mlq.db import projects, registry
from mlq.db.registry import DataVersion as Row
from mlq.errors import MlqError, NotFoundError
from mlq.service import data as service
from mlq.service import projects as service_projects
from mlq.service.names import check_name
from mlq_api.access import OF_DATA, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import media_type_of, parse, store_body
from mlq_api.downloads import send_blob, send_tree
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, content, number_of, takes
from mlq_api.schemas import Blob, DataAsset, DataVersion, NewDataVersion, Page
from mlq_api.server import Server, server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=[OF_DATA])

Digest = Annotated[
    str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 lower-case hex digits.")
]
_BYTES = ("application/octet-stream", "…")
_FILE = content("application/octet-stream", example="…", description="The bytes.")


@router.head(
    "/blobs/{digest}",
    tags=["blobs"],
    summary="Whether bytes are stored",
    responses=content("application/octet-stream", example="", description="They are."),
    response_class=Response,
)
async def has_blob(request: Request, digest: Digest) -> Response:
    """200 with their Content-Length, or 404."""
    server = server_of(request)
    await _require_blob(request, digest)
    if await server.read(registry.find_artifact, digest) is None:  # left by a refused upload
        raise NotFoundError(
            f"There is no blob {digest}.", hint=f"PUT /v1/blobs/{digest} stores it."
        )
    size = await server.files.call(_claimed_size, server, digest)
    return Response(headers={"content-length": str(size), "etag": f'"{digest}"'})


@router.put(
    "/blobs/{digest}",
    tags=["blobs"],
    status_code=201,
    response_model=Blob,
    summary="Store bytes under their digest",
    openapi_extra=takes(None, _BYTES),
)
async def put_blob(request: Request, digest: Digest) -> Response:
    """Streamed, and hashed on the way: other bytes than the digest says are refused (422)."""
    server = server_of(request)
    blob = await store_body(request, server, expected=digest)
    stored = registry.Artifact(blob.digest, "blob", blob.size_bytes)
    project = project_of(request)

    def write(conn: Connection) -> None:
        registry.add_artifacts(conn, [stored])
        if project is not None:
            service_projects.require_known(conn, project)
            projects.own_blob(conn, digest, project)

    await server.write(write)
    return json_response({"digest": blob.digest, "size_bytes": blob.size_bytes}, status=201)


@router.get(
    "/blobs/{digest}",
    tags=["blobs"],
    summary="Download stored bytes",
    responses=_FILE,
    response_class=Response,
)
async def get_blob(request: Request, digest: Digest) -> Response:
    """As an attachment of no particular type; ranges are understood."""
    await _require_blob(request, digest)
    return await send_blob(server_of(request), digest, file_name=digest)


async def _require_blob(request: Request, *digests: str) -> None:
    """Raise NotFoundError unless the caller's project has uploaded all of these bytes."""
    project = project_of(request)
    if project in (None, projects.DEFAULT):
        return
    owned = await server_of(request).read(projects.owned_blobs, digests, project)
    for digest in digests:
        if digest not in owned:
            raise NotFoundError(
                f"There is no blob {digest}.", hint=f"Upload it with PUT /v1/blobs/{digest}."
            )


@router.post(
    "/data/{name}/versions",
    tags=["data"],
    status_code=201,
    response_model=DataVersion,
    responses={200: {"model": DataVersion, "description": "These bytes are a version already."}},
    summary="Add a version of a dataset",
    openapi_extra=takes(NewDataVersion, _BYTES),
)
async def create_version(
    request: Request,
    name: Name,
    filename: Annotated[
        str | None, Query(max_length=255, description="Name of the file in the body.")
    ] = None,
    description: Annotated[str, Query(max_length=10_000)] = "",
) -> Response:
    """The file as body, or JSON that names bytes which were uploaded before.

    Identical bytes make the same version. A JSON body is a file when `filename` is given.
    """
    server, actor = server_of(request), principal_of(request).name
    check_name(name, what="data asset")
    if filename is None and media_type_of(request, default="") == "application/json":
        new = parse(NewDataVersion, await request.body())
        await _require_blob(request, new.digest)
        if registry.data_kind(new.type) == "tree":
            tree = await server.files.call(_tree_of, server, new.digest)
            await _require_blob(request, *{entry.digest for entry in tree.entries})
        if new.type == "mltable" and all(entry.path != "MLTable" for entry in tree.entries):
            raise MlqError("An mltable is a folder with a file MLTable in it.", code="invalid")
        size = await server.files.call(_size_of, server, new)
    else:
        blob = await store_body(request, server)
        size = blob.size_bytes
        new = NewDataVersion(
            digest=blob.digest, file_name=filename or name, description=description
        )
    made, is_new = await server.write(
        service.create_version,
        name=name,
        digest=new.digest,
        type=new.type,
        file_name=new.file_name,
        size_bytes=size,
        actor=actor,
        description=new.description,
        tags=new.tags,
        version=new.version,
        project=project_of(request),
    )
    return json_response(
        version_view(made),
        status=201 if is_new else 200,
        headers={"location": f"/v1/data/{made.name}/versions/{made.version}"},
    )


def _claimed_size(server: Server, digest: str) -> int:
    """Size in bytes of what a caller is about to name, and which is kept for it from now on."""
    server.store.claim(digest)
    return server.store.size(digest)


def _size_of(server: Server, new: NewDataVersion) -> int:
    if registry.data_kind(new.type) == "tree":
        tree = _tree_of(server, new.digest)
        _require_files(server, tree)
        return tree.size_bytes
    try:
        return _claimed_size(server, new.digest)
    except NotFoundError as error:
        raise _not_uploaded(error, new.digest) from None


def _require_files(server: Server, tree: Tree) -> None:
    """Refuse a folder whose files are not stored, or are of another size than its manifest says.

    Found later it would fail every job that reads the version, and versions never change.
    """
    if not tree.entries:
        raise MlqError("The folder holds no files: no version was made.", code="invalid")
    for entry in tree.entries:
        try:
            size = _claimed_size(server, entry.digest)
        except NotFoundError as error:
            raise _not_uploaded(error, entry.digest) from None
        if size != entry.size_bytes:
            raise MlqError(
                f"'{entry.path}' has {size} bytes; the folder's manifest says {entry.size_bytes}.",
                code="invalid",
                hint="Write the manifest again from the files that were uploaded.",
            )


def _tree_of(server: Server, digest: str) -> Tree:
    try:
        server.store.claim(digest)
        return server.store.tree(digest)
    except NotFoundError as error:
        raise _not_uploaded(error, digest) from None


def _not_uploaded(error: NotFoundError, digest: str) -> NotFoundError:
    return NotFoundError(error.message, hint=f"Upload it first with PUT /v1/blobs/{digest}.")


@router.get("/data", tags=["data"], response_model=Page[DataAsset], summary="List datasets")
async def list_data(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name, each with its newest version."""
    rows = await server_of(request).read(
        service.list_newest, limit=limit + 1, after=cursor, project=project_of(request)
    )
    return json_response(
        page_of([_asset_view(row) for row in rows], limit=limit, cursors=[row.name for row in rows])
    )


@router.get("/data/{name}", tags=["data"], response_model=DataAsset, summary="Show a dataset")
async def show_data(request: Request, name: Name) -> Response:
    """A dataset with its newest version."""
    return json_response(_asset_view(await server_of(request).read(service.find, name)))


@router.get(
    "/data/{name}/versions",
    tags=["data"],
    response_model=Page[DataVersion],
    summary="List a dataset's versions",
)
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
            [version_view(row) for row in rows], limit=limit, cursors=[row.version for row in rows]
        )
    )


@router.get(
    "/data/{name}/versions/{version}",
    tags=["data"],
    response_model=DataVersion,
    summary="Show a version of a dataset",
)
async def show_version(request: Request, name: Name, version: Name) -> Response:
    """version: a number, or `latest`."""
    return json_response(
        version_view(await server_of(request).read(service.find, name, version=version))
    )


@router.get(
    "/data/{name}/versions/{version}/content",
    tags=["data"],
    summary="Download a version of a dataset",
    responses=_FILE,
    response_class=Response,
)
async def download(request: Request, name: Name, version: Name) -> Response:
    """The file as it was uploaded; a folder as tar."""
    server = server_of(request)

    def read(conn: Connection) -> Row:
        return service.find(conn, name, version=version)

    found = await server.read(read)
    if found.kind == "tree":
        return await send_tree(server, found.digest, name=found.name)
    return await send_blob(server, found.digest, file_name=found.file_name)


def version_view(row: Row) -> dict[str, Any]:
    """A version as JSON."""
    return {
        "name": row.name,
        "version": row.version,
        "id": row.id,
        "type": row.type,
        "digest": row.digest,
        "file_name": row.file_name,
        "size_bytes": row.size_bytes,
        "description": row.description,
        "tags": dict(row.tags),
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "source": row.source,
    }


def _asset_view(row: Row) -> dict[str, Any]:
    return {"name": row.name, "latest_version": row.version, "latest": version_view(row)}
