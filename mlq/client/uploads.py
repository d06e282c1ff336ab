"""Local files to the artifact store, by content: bytes that are there already are not sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mlq.client.paths import locate
from mlq.client.session import Session
from mlq.errors import ConflictError, MlqError, NotFoundError

_CHUNK = 1 << 20
Progress = Callable[[int], None]


def upload(session: Session, path: Path, *, progress: Progress = lambda size: None) -> str:
    """Put the bytes of `path` into the store; return their SHA-256 (64 hex digits).

    The file is read once to know its digest and, only when the store lacks it, once more to send
    it; it is never held in memory. progress: called with the size in bytes of each chunk sent.
    Raises ConflictError when the file changes between the two.
    """
    digest = hash_file(path)
    if not exists(session, digest):
        send_file(session, path, digest, progress=progress)
    return digest


def upload_bytes(session: Session, content: bytes) -> str:
    """Put bytes at hand into the store; return their SHA-256 (64 hex digits)."""
    digest = hashlib.sha256(content).hexdigest()
    if not exists(session, digest):
        session.request(
            "PUT",
            locate("/v1/blobs/{}", digest),
            content=content,
            headers={"Content-Type": "application/octet-stream"},
            timeout_s=300.0,
        )
    return digest


def send_file(
    session: Session, path: Path, digest: str, *, progress: Progress = lambda size: None
) -> None:
    """Send the bytes of `path`, which had this digest when it was read; never held in memory.

    progress: as for `upload`. Raises ConflictError when they are not those any more.
    """
    session.request(
        "PUT",
        locate("/v1/blobs/{}", digest),
        body=lambda: _read_checked(path, digest, progress),
        headers={"Content-Type": "application/octet-stream"},
        timeout_s=300.0,
    )


def exists(session: Session, digest: str) -> bool:
    """Whether the store has the blob."""
    try:
        session.request("HEAD", locate("/v1/blobs/{}", digest))
    except NotFoundError:
        return False
    return True


def hash_file(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits. Raises MlqError (code `file_failed`) otherwise."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MlqError(
            f"{path} cannot be read: {error.strerror or error}.",
            code="file_failed",
            hint="Name a file that you may read.",
        ) from error


def _read_checked(path: Path, digest: str, progress: Progress) -> Iterator[bytes]:
    """The file's chunks; the last is held back until the digest is known to be the one promised."""
    seen, held = hashlib.sha256(), b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            seen.update(chunk)
            if held:
                yield held
                progress(len(held))
            held = chunk
    if seen.hexdigest() != digest:
        raise ConflictError(
            f"{path} changed while it was sent.", hint="Send it when it is complete."
        )
    yield held
    progress(len(held))
