"""Uploads by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mlq.client.uploads import hash_file, upload
from mlq.errors import ConflictError, MlqError
from tests.unit.mlq.client.test_session import Clock, connect


class Store:
    """A server of blobs; `meddle` runs after each HEAD."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.meddle: Callable[[], None] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        digest = request.url.path.rpartition("/")[2]
        if request.method == "HEAD":
            self.meddle()
            return httpx.Response(200 if digest in self.blobs else 404)
        self.blobs[digest] = request.read()
        return httpx.Response(201)


def test_bytes_are_sent_once(tmp_path: Path) -> None:
    store = Store()
    session = connect(store, Clock())
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * (3 << 20))
    sent: list[int] = []
    digest = upload(session, file, progress=sent.append)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert store.blobs == {digest: file.read_bytes()}
    assert sum(sent) == 3 << 20
    upload(session, file, progress=sent.append)
    assert sum(sent) == 3 << 20


def test_an_empty_file_is_a_blob_too(tmp_path: Path) -> None:
    store = Store()
    (tmp_path / "empty").touch()
    digest = upload(connect(store, Clock()), tmp_path / "empty")
    assert store.blobs == {digest: b""}


def test_a_file_that_changes_meanwhile_is_not_stored(tmp_path: Path) -> None:
    store = Store()
    file = tmp_path / "a.csv"
    file.write_text("a,b\n")

    def change() -> None:
        file.write_text("c,d\n")

    store.meddle = change
    with pytest.raises(ConflictError, match="changed while it was sent"):
        upload(connect(store, Clock()), file)
    assert store.blobs == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlqError, match="none cannot be read: No such file") as found:
        hash_file(tmp_path / "none")
    assert found.value.code == "file_failed"
