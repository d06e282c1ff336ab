"""Objects behind any fsspec address that is not a local folder: s3://, gs://, abfs://, sftp:// …

Bytes are complete on this machine before they are sent, because their name is their digest.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from mlq.artifacts.digests import check_digest, is_digest
from mlq.artifacts.local import missing
from mlq.artifacts.sources import split_options
from mlq.errors import MlqError, NotFoundError, SettingsError, UnavailableError

#: Where a file appears under its name only once it is complete; elsewhere it is renamed to it.
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"})
#: A remover that takes longer gives up: who claims does not wait for ever for one that was killed.
_REMOVAL_S = 15.0


class RemoteObjects:
    """Objects below an fsspec URL. Every method may raise UnavailableError."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Some clients own a thread and refuse to work in a forked child, so each process has one.
        self._clients: dict[int, tuple[Any, str]] = {}
        protocol = url.partition("://")[0]
        #: Memory is this process' own: no other host, not even another process, reaches it.
        self.is_local = protocol == "memory"
        self._is_atomic = protocol in _ATOMIC
        self._client()

    def __repr__(self) -> str:
        return f"RemoteObjects({self.url})"

    def size(self, digest: str) -> int:
        """Size in bytes. Raises NotFoundError."""
        with self._reported(digest) as (client, root):
            return int(client.info(_key(root, digest))["size"])

    def exists(self, digest: str) -> bool:
        """Whether the object is there, complete."""
        with self._reported(digest) as (client, root):
            return bool(client.exists(_key(root, digest)))

    def read(self, digest: str) -> BinaryIO:
        """Open the object for reading. Raises NotFoundError."""
        with self._reported(digest) as (client, root):
            return cast(BinaryIO, client.open(_key(root, digest), "rb"))

    def upload(self, file: Path, digest: str) -> None:
        """Send `file`, whose digest was computed; a no-op where the same bytes are there."""
        if self.exists(digest) and self.claim(digest):
            return
        with self._reported(digest) as (client, root):
            key = _key(root, digest)
            target = key if self._is_atomic else self._temporary(root)
            client.makedirs(target.rpartition("/")[0], exist_ok=True)
            client.put_file(str(file), target)
            if target != key:
                client.makedirs(key.rpartition("/")[0], exist_ok=True)
                client.mv(target, key)
            sent, kept = file.stat().st_size, int(client.info(key)["size"])
            if sent != kept:
                client.rm_file(key)
                raise UnavailableError(
                    f"The artifact store {self.url} kept {kept} of {sent} bytes of {digest}."
                )

    def write_link(self, digest: str, content: bytes) -> None:
        """Keep what stands in for the object's bytes."""
        with self._reported(digest) as (client, root):
            key = _key(root, digest, folder="links")
            client.makedirs(key.rpartition("/")[0], exist_ok=True)
            client.pipe_file(key, content)

    def read_link(self, digest: str) -> bytes | None:
        """What stands in for the object's bytes."""
        try:
            with self._reported(digest) as (client, root):
                return bytes(client.cat_file(_key(root, digest, folder="links")))
        except NotFoundError:
            return None

    def claim(self, digest: str) -> bool:
        """Whether the object, or what stands in for it, is there; if so as if it were stored now.

        A store has no locks: who claims leaves a mark and then looks for a remover's, who removes
        leaves a mark and then looks for a claimer's, so at least one sees the other.
        """
        with self._reported(digest) as (client, root):
            self._write(client, _key(root, digest, folder="claims"))
            doom = _key(root, digest, folder="doomed")
            given_up = time.monotonic() + _REMOVAL_S * 2
            while client.exists(doom) and time.monotonic() < given_up:
                time.sleep(0.1)
            return any(client.exists(key) for key in _keys(root, digest))

    def used_at(self, digest: str) -> datetime | None:
        """When it was last stored or claimed, by the store's clock; None where it is not."""
        with self._reported(digest) as (client, root):
            if not any(client.exists(key) for key in _keys(root, digest)):
                return None
            times: list[datetime] = []
            for key in (*_keys(root, digest), _key(root, digest, folder="claims")):
                with suppress(FileNotFoundError):
                    times.append(client.modified(key))
            return max(times).astimezone(UTC)

    def stored(self) -> Iterator[tuple[str, int]]:
        """Every object and every stand-in: digest and size in bytes."""
        with self._reported("") as (client, root):
            for folder in ("objects", "links"):
                with suppress(FileNotFoundError):
                    for path, info in client.find(f"{root}/{folder}", detail=True).items():
                        name = path.rpartition("/")[2]
                        if is_digest(name):
                            yield name, int(info["size"])

    def remove(self, digest: str, *, used_at: datetime) -> bool:
        """Drop the object unless it was stored or claimed after `used_at`; whether it was."""
        with self._reported(digest) as (client, root):
            doom = _key(root, digest, folder="doomed")
            began = time.monotonic()
            self._write(client, doom)
            try:
                if self.used_at(digest) != used_at or time.monotonic() - began > _REMOVAL_S:
                    return False
                self.delete(digest)
                return True
            finally:
                client.rm_file(doom)

    def delete(self, digest: str) -> None:
        """Drop the object, its link and its claims; a no-op where there is none."""
        with self._reported(digest) as (client, root):
            for key in (*_keys(root, digest), _key(root, digest, folder="claims")):
                if client.exists(key):
                    client.rm_file(key)

    def _temporary(self, root: str) -> str:
        return f"{root}/tmp/{uuid.uuid4().hex}"  # a place in the store  # nosec B108

    def check(self) -> None:
        """Write an object, read it back and remove it. Raises UnavailableError."""
        probe = os.urandom(64)
        with self._reported("") as (client, root):
            key = self._temporary(root)
            client.makedirs(key.rpartition("/")[0], exist_ok=True)
            client.pipe_file(key, probe)
            returned = client.cat_file(key)
            client.rm_file(key)
            if returned != probe:
                raise UnavailableError(f"The artifact store {self.url} returns other bytes.")

    def _write(self, client: Any, key: str) -> None:
        client.makedirs(key.rpartition("/")[0], exist_ok=True)
        client.pipe_file(key, b"mlq")

    def _client(self) -> tuple[Any, str]:
        process = os.getpid()
        if process not in self._clients:
            try:
                # Without the listings cache: another process may have written meanwhile.
                url, options = split_options(self.url)
                client, root = fsspec.core.url_to_fs(
                    url, use_listings_cache=False, skip_instance_cache=True, **options
                )
            except (ImportError, ValueError) as error:
                raise SettingsError(
                    f"The artifact store {self.url} cannot be opened: {error}.",
                    hint="Install the fsspec package of that protocol, such as s3fs or gcsfs.",
                ) from error
            except Exception as error:
                raise self._unavailable(error) from error
            self._clients = {process: (client, root.rstrip("/"))}
        return self._clients[process]

    @contextmanager
    def _reported(self, digest: str) -> Iterator[tuple[Any, str]]:
        try:
            yield self._client()
        except MlqError:
            raise
        except FileNotFoundError:
            raise missing(digest) from None
        except Exception as error:  # each client has errors of its own
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"The artifact store {self.url} cannot be used: {type(error).__name__}: "
            f"{error!s:.300}.",
            hint="Check its address, its credentials and the network between.",
        )


def _keys(root: str, digest: str) -> tuple[str, str]:
    """Where the object is, and where what stands in for it."""
    return _key(root, digest), _key(root, digest, folder="links")


def _key(root: str, digest: str, *, folder: str = "objects") -> str:
    return f"{root}/{folder}/{check_digest(digest)[:2]}/{digest}"
