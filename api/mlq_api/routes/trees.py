"""`/v1/trees`: folders by content; and which bytes of them are still to be sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection

from mlq.artifacts.trees import MAX_MANIFEST_BYTES
from mlq.db.registry import Artifact
from mlq.errors import NotFoundError, TooLargeError
from mlq.service import trees as service
from mlq.service.names import invalid
from mlq_api.access import BY_METHOD, project_of
from mlq_api.bodies import parse, store_body
from mlq_api.downloads import send_tree
from mlq_api.operations import PROBLEMS, content, takes
from mlq_api.server import server_of
from mlq_api.tree_schemas import Digests, Missing, Stored, TreeView
from mlq_api.wire import json_response

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=[BY_METHOD])

Digest = Annotated[
    str,
    Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the list of files, 64 hex digits."),
]
_MAX_PACK_BYTES = 8 << 20
_MAX_PACK_FILES = 1000
_THREADS = 8
_LIST = '{"entries":[{"digest":"…","mode":420,"path":"train.py","size_bytes":12}]}'


@router.post(
    "/blobs/missing",
    tags=["blobs"],
    response_model=Missing,
    summary="Which bytes are not stored",
    openapi_extra=takes(Digests),
)
async def find_missing(request: Request) -> Response:
    """Of many digests at once, before a folder is sent: those that are to be put."""
    server = server_of(request)
    digests = parse(Digests, await request.body()).digests
    missing = await server.write(service.find_missing, digests, project=project_of(request))
    if server.store.is_local:  # a look costs little there, and bytes may have been removed by hand
        known = set(digests).difference(missing)
        missing += await server.files.call(
            lambda: [digest for digest in known if not server.store.exists(digest)]
        )
    return json_response({"missing": missing})


@router.put(
    "/blobs",
    tags=["blobs"],
    status_code=201,
    response_model=Stored,
    summary="Store many small files",
    openapi_extra=takes(None, ("application/octet-stream", "…")),
)
async def put_blobs(request: Request) -> Response:
    """Of each its length, as 8 bytes with the highest first, then its bytes.

    At most 1,000 files and 8 MiB; answers their digests in the same order.
    """
    server, project = server_of(request), project_of(request)
    contents = _unpack(await _read(request))

    def store() -> list[Artifact]:
        # Side by side: each waits for the disk, and the disk takes several at once.
        with ThreadPoolExecutor(_THREADS) as threads:
            blobs = threads.map(lambda content: server.store.put_stream([content]), contents)
            return [Artifact(blob.digest, "blob", blob.size_bytes) for blob in blobs]

    stored = await server.files.call(store)

    def write(conn: Connection) -> None:
        service.keep_blobs(conn, stored, project=project)

    await server.write(write)
    return json_response({"digests": [one.digest for one in stored]}, status=201)


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_PACK_BYTES:
            raise TooLargeError(f"Files that come together have {_MAX_PACK_BYTES} bytes at most.")
    return bytes(body)


def _unpack(body: bytes) -> list[bytes]:
    """The files of a body. Raises MlqError (code `invalid`)."""
    contents: list[bytes] = []
    place = 0
    while place < len(body):
        end = place + 8 + int.from_bytes(body[place : place + 8], "big")
        if end > len(body) or place + 8 > len(body) or len(contents) == _MAX_PACK_FILES:
            raise invalid(
                f"The body is not {_MAX_PACK_FILES:,} files at most, each with its length in 8 "
                "bytes before it."
            )
        contents.append(body[place + 8 : end])
        place = end
    return contents


@router.head(
    "/trees/{digest}",
    tags=["blobs"],
    summary="Whether a folder is stored",
    responses=content("application/octet-stream", example="", description="It is, complete."),
    response_class=Response,
)
async def has_tree(request: Request, digest: Digest) -> Response:
    """200, or 404."""
    await _require_tree(request, digest)
    return Response(headers={"etag": f'"{digest}"'})


@router.get(
    "/trees/{digest}",
    tags=["blobs"],
    summary="Download a stored folder",
    responses=content("application/x-tar", example="…", description="The folder as tar."),
    response_class=Response,
)
async def get_tree(request: Request, digest: Digest) -> Response:
    """As an attachment: a tar file of its files."""
    await _require_tree(request, digest)
    return await send_tree(server_of(request), digest, name=digest)


async def _require_tree(request: Request, digest: str) -> None:
    server = server_of(request)
    found = await server.write(service.has_tree, digest, project=project_of(request))
    if not found or not await server.files.call(server.store.exists, digest):
        raise NotFoundError(
            f"There is no folder {digest}.", hint=f"Send its list with PUT /v1/trees/{digest}."
        )


@router.put(
    "/trees/{digest}",
    tags=["blobs"],
    status_code=201,
    response_model=TreeView,
    summary="Store a folder whose files are stored",
    openapi_extra=takes(None, ("application/octet-stream", _LIST)),
)
async def put_tree(request: Request, digest: Digest) -> Response:
    """The list of its files as canonical JSON, under the digest of that text.

    A job file names the folder `artifact:sha256:DIGEST`, as `code` for one. Archives are not
    taken; paths that leave the folder, links and lists that are too long are refused.
    """
    server = server_of(request)
    await store_body(request, server, expected=digest, max_bytes=MAX_MANIFEST_BYTES)
    tree = await server.files.call(server.store.tree, digest)
    project = project_of(request)

    def write(conn: Connection) -> None:
        service.keep_tree(conn, tree, project=project)

    await server.write(write)
    view = {"digest": digest, "files": len(tree.entries), "size_bytes": tree.size_bytes}
    return json_response(view, status=201)
