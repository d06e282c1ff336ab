"""Objects behind any fsspec address that is not a local folder: s3://, gs://, abfs://, sftp:// …

Bytes are complete on this machine before they are sent, because their name is their digest.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from mlq.artifacts.digests import check_digest
from mlq.artifacts.local import missing
from mlq.errors import MlqError, SettingsError, UnavailableError

#: Where a file appears under its name only once it is complete; elsewhere it is renamed to it.
_ATOMIC = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}
)


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
        if self.exists(digest):
            return
        with self._reported(digest) as (client, root):
            key = _key(root, digest)
            target = key if self._is_atomic else f"{root}/tmp/{uuid.uuid4().hex}"
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

    def delete(self, digest: str) -> None:
        """Drop the object; a no-op where there is none."""
        if self.exists(digest):
            with self._reported(digest) as (client, root):
                client.rm_file(_key(root, digest))

    def check(self) -> None:
        """Write an object, read it back and remove it. Raises UnavailableError."""
        probe = os.urandom(64)
        with self._reported("") as (client, root):
            key = f"{root}/tmp/{uuid.uuid4().hex}"
            client.makedirs(f"{root}/tmp", exist_ok=True)
            client.pipe_file(key, probe)
            returned = client.cat_file(key)
            client.rm_file(key)
            if returned != probe:
                raise UnavailableError(f"The artifact store {self.url} returns other bytes.")

    def _client(self) -> tuple[Any, str]:
        process = os.getpid()
        if process not in self._clients:
            try:
                # Without the listings cache: another process may have written meanwhile.
                client, root = fsspec.core.url_to_fs(
                    self.url, use_listings_cache=False, skip_instance_cache=True
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


def _key(root: str, digest: str) -> str:
    return f"{root}/objects/{check_digest(digest)[:2]}/{digest}"
