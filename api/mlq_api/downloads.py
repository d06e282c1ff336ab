"""Bytes on their way out: attachments of no particular type, so that no browser runs them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from mlq.artifacts import Store, Tree
from mlq.errors import NotFoundError, nearest
from mlq_api.server import Server

_CHUNK_BYTES = 1 << 20
_TYPE = "application/octet-stream"


async def send_blob(server: Server, digest: str, *, file_name: str) -> Response:
    """Answer with a blob; ranges are understood. Raises NotFoundError."""
    path = await server.files.call(server.store.fetch, digest, kind="blob")
    status = await server.files.call(path.stat)
    return FileResponse(
        path,
        media_type=_TYPE,
        stat_result=status,
        headers={"content-disposition": _attachment(file_name), "etag": f'"{digest}"'},
    )


async def send_tree(server: Server, digest: str, *, name: str) -> Response:
    """Answer with a folder as a tar file. Raises NotFoundError."""
    tree = await server.files.call(server.store.tree, digest)
    return StreamingResponse(
        _tar(server.store, tree),  # a plain iterator: Starlette reads it in a thread
        media_type="application/x-tar",
        headers={"content-disposition": _attachment(f"{name}.tar")},
    )


async def send_entry(server: Server, digest: str, *, path: str) -> Response:
    """Answer with one file of a folder. Raises NotFoundError with the nearest path."""
    tree = await server.files.call(server.store.tree, digest)
    digests = {entry.path: entry.digest for entry in tree.entries}
    if path not in digests:
        close = nearest(path, list(digests)[:2000])
        raise NotFoundError(
            f"There is no file '{path:.200}' in this folder.",
            hint=f"Did you mean '{close}'?" if close else "",
        )
    return await send_blob(server, digests[path], file_name=path.rpartition("/")[2])


def _attachment(file_name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"


def _tar(store: Store, tree: Tree) -> Iterator[bytes]:
    for entry in tree.entries:
        header = tarfile.TarInfo(entry.path)
        header.size, header.mode = entry.size_bytes, entry.mode
        yield header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        with store.read(entry.digest) as file:
            yield from iter(partial(file.read, _CHUNK_BYTES), b"")
        yield b"\0" * (-entry.size_bytes % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)
