"""Artifacts to local files: whole or not at all, and never outside the folder asked for."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlq.client.session import Session
from mlq.errors import ConflictError, MlqError, UnavailableError


def save(
    session: Session,
    path: str,
    *,
    to: Path,
    params: Mapping[str, Any] | None = None,
    timeout_s: float = 60.0,
) -> Path:
    """Download `path` into the file `to`, which appears when it is complete.

    timeout_s: from one byte to the next.
    Raises MlqError (code `file_failed`) where the file cannot be written.
    """
    with (
        writing(to),
        tempfile.NamedTemporaryFile(dir=to.parent, prefix=f".{to.name}.", delete=False) as part,
    ):
        try:
            with session.stream(path, params=params, timeout_s=timeout_s) as response:
                expected = response.headers.get("Content-Length")
                for chunk in response.iter_bytes():
                    part.write(chunk)
            plain = "Content-Encoding" not in response.headers
            if plain and expected is not None and part.tell() != int(expected):
                raise UnavailableError(f"{path} broke off after {part.tell()} of {expected} bytes.")
            part.flush()
            # a temporary file is private; what it becomes follows the user's own habit
            umask = os.umask(0)
            os.umask(umask)
            Path(part.name).chmod(0o666 & ~umask)
            Path(part.name).replace(to)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    return to


@contextmanager
def writing(to: Path) -> Iterator[None]:
    """Say in words that `to` cannot be written, in place of a temporary file's OSError."""
    try:
        yield
    except OSError as error:
        raise MlqError(
            f"{to} cannot be written: {error.strerror or error}.",
            code="file_failed",
            hint="Name a place where you may write.",
        ) from error


def save_tree(
    session: Session, path: str, *, to: Path, params: Mapping[str, Any] | None = None
) -> Path:
    """Download the tar at `path` and unpack it into the new folder `to`.

    Raises ConflictError when `to` exists already, MlqError for a member that is not a plain file
    or folder below it, or where nothing can be written (code `file_failed`).
    """
    if to.exists():
        raise ConflictError(f"{to} exists already.", hint="Name another folder, or remove it.")
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=to.parent, prefix=f".{to.name}."))
    try:
        packed = save(session, path, to=work / "package.tar", params=params)
        folder = work / "tree"
        folder.mkdir()
        with tarfile.open(packed, "r:") as tar:
            tar.extractall(folder, filter="data")
        folder.replace(to)
    except tarfile.TarError as error:
        raise MlqError(f"{path} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return to
