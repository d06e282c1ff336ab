"""Folders by content: the bytes of each file by their digest, and a manifest that lists them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlq.client.paths import locate
from mlq.client.session import Session
from mlq.client.uploads import Progress, hash_file, send_file
from mlq.errors import ConflictError, NotFoundError

#: So many digests fit into one document that a server takes.
_ASKED_AT_ONCE = 50_000
_SMALL_BYTES = 256 << 10
_PACK_BYTES = 4 << 20
_PACK_FILES = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder as it was read.

    digest: SHA-256 of the manifest, 64 hex digits. files: digest -> a file with these bytes.
    count: of its files; size_bytes: of all of them.
    """

    digest: str
    manifest: bytes
    files: Mapping[str, Path]
    count: int
    size_bytes: int


def take(found: Iterable[tuple[str, Path]]) -> Snapshot:
    """Read files into a snapshot. found: (path in the folder with '/', path on disk).

    The manifest is canonical, as `mlq.artifacts.trees` has it, so that equal folders have one
    digest whether a client or a worker stored them. Of a file's mode only whether its owner may
    execute it is kept. Raises MlqError (code `file_failed`).
    """
    files: dict[str, Path] = {}
    entries: list[dict[str, Any]] = []
    size_bytes = 0
    for path, file in sorted(found, key=lambda one: one[0].encode()):
        digest = hash_file(file)
        status = file.stat()
        files[digest] = file
        size_bytes += status.st_size
        entries.append(
            {
                "digest": digest,
                "mode": 0o755 if status.st_mode & 0o100 else 0o644,
                "path": path,
                "size_bytes": status.st_size,
            }
        )
    manifest = json.dumps(
        {"entries": entries}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    return Snapshot(digest, manifest, files, len(entries), size_bytes)


def send(session: Session, snapshot: Snapshot, *, progress: Progress = lambda size: None) -> int:
    """Put a snapshot into the store; how many files were sent.

    One request where the server has it already; else one more asks which files it lacks, and only
    those are sent. progress: called with the size in bytes of each chunk sent.
    Raises ConflictError when a file changed since it was read.
    """
    path = locate("/v1/trees/{}", snapshot.digest)
    try:
        session.request("HEAD", path)
    except NotFoundError:
        pass
    else:
        return 0
    missing = find_missing(session, list(snapshot.files))
    small = [one for one in missing if snapshot.files[one].stat().st_size <= _SMALL_BYTES]
    if len(small) > 1:
        _send_together(session, {one: snapshot.files[one] for one in small}, progress)
    for digest in missing if len(small) <= 1 else sorted(set(missing) - set(small)):
        send_file(session, snapshot.files[digest], digest, progress=progress)
    session.request(
        "PUT",
        path,
        content=snapshot.manifest,
        headers={"Content-Type": "application/octet-stream"},
        timeout_s=300.0,
    )
    return len(missing)


def _send_together(session: Session, files: Mapping[str, Path], progress: Progress) -> None:
    """Send small files, many with each request: what a request costs is more than their bytes."""
    pack, count = bytearray(), 0
    for number, (digest, file) in enumerate(files.items(), start=1):
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ConflictError(
                f"{file} changed while it was sent.", hint="Send it when it is complete."
            )
        pack += len(content).to_bytes(8, "big") + content
        count += 1
        if len(pack) >= _PACK_BYTES or count == _PACK_FILES or number == len(files):
            session.request(
                "PUT",
                "/v1/blobs",
                content=bytes(pack),
                headers={"Content-Type": "application/octet-stream"},
                timeout_s=300.0,
            )
            progress(len(pack) - 8 * count)
            pack, count = bytearray(), 0


def find_missing(session: Session, digests: list[str]) -> list[str]:
    """Those of `digests` whose bytes the server lacks."""
    missing: list[str] = []
    for start in range(0, len(digests), _ASKED_AT_ONCE):
        asked = {"digests": digests[start : start + _ASKED_AT_ONCE]}
        answer = session.json("POST", "/v1/blobs/missing", json=asked, timeout_s=300.0)
        missing += answer["missing"]
    return missing
