"""Reading request bodies: documents whole, files in pieces."""

from __future__ import annotations

import json
import sys
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from mlq.artifacts import Blob, Writer
from mlq.errors import MlqError
from mlq_api.server import Server

M = TypeVar("M", bound=BaseModel)

#: Bytes that are gathered before a thread writes them.
_PIECE_BYTES = 1 << 20


def media_type_of(request: Request, *, default: str) -> str:
    """The body's media type without parameters, lower case."""
    return request.headers.get("content-type", default).partition(";")[0].strip().lower() or default


def parse(model: type[M], body: bytes) -> M:
    """Read a JSON body into `model`. Raises RequestValidationError."""
    try:
        if b"\\u0000" in body:
            raise ValueError("it contains a NUL, which no text here may")
        return model.model_validate(json.loads(body or b"{}"))
    except ValidationError as error:
        details = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(details) from None
    except (ValueError, RecursionError) as error:
        detail: dict[str, Any] = {"loc": ("body",), "msg": f"not JSON ({error})", "type": "json"}
        raise RequestValidationError([detail]) from None


async def store_body(
    request: Request, server: Server, *, expected: str | None = None, max_bytes: int | None = None
) -> Blob:
    """Stream the body into the artifact store; memory stays bounded by a few MiB.

    expected: the digest it must have. max_bytes: a limit below that of all uploads.
    Raises TooLargeError, ConflictError (`digest_mismatch`), MlqError (`unsupported_media`) for a
    form or a body that is compressed on its way, whose bytes are not the file's.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type_of(request, default="").startswith("multipart/"):
        raise MlqError(
            "The body is a form, with more in it than the file.",
            code="unsupported_media",
            hint="Send the bytes alone: curl --data-binary @FILE.",
        )
    if encoding != "identity":
        raise MlqError(
            f"The body has the Content-Encoding '{encoding:.40}', which is not undone here.",
            code="unsupported_media",
            hint="Send the file as it is, without that header.",
        )
    writer: Writer = await server.files.call(
        server.store.writer,
        expected=expected,
        max_bytes=min(max_bytes or sys.maxsize, server.settings.max_upload_bytes),
    )
    try:
        piece = bytearray()
        async for chunk in request.stream():
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                await server.files.call(writer.write, bytes(piece))
                piece.clear()
        if piece:
            await server.files.call(writer.write, bytes(piece))
        return await server.files.call(writer.commit)
    except ClientDisconnect:
        raise MlqError("The body broke off.", code="incomplete") from None
    finally:
        await server.files.call(writer.abort)
