"""The artifact store: put bytes in, get them back by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self
from urllib.parse import unquote, urlsplit

from mlq.artifacts import cache as cache_folder
from mlq.artifacts.digests import CHUNK_BYTES, Blob, check_digest, check_name, open_regular
from mlq.artifacts.local import LocalObjects, Staged
from mlq.artifacts.remote import RemoteObjects
from mlq.artifacts.sources import Link, read_chunks
from mlq.artifacts.trees import (
    MAX_MANIFEST_BYTES,
    MODE_EXECUTABLE,
    MODE_PLAIN,
    Entry,
    Tree,
    read_manifest,
    scan_files,
    write_manifest,
)
from mlq.errors import (
    ConflictError,
    MlqError,
    NotFoundError,
    SettingsError,
    StepError,
    TooLargeError,
    UnavailableError,
)

DEFAULT_CACHE_BYTES = 20 << 30


class Store:
    """Content-addressed bytes, in a folder of this machine or behind an fsspec address.

    Safe to use from many threads and processes at once, and across a fork.
    is_local: other hosts cannot reach it.
    """

    def __init__(
        self, files: LocalObjects, remote: RemoteObjects | None, *, cache_bytes: int
    ) -> None:
        self._files = files  # the store itself, or the cache before `remote`
        self._remote = remote
        self._cache_bytes = cache_bytes
        self._untrimmed = cache_bytes  # bytes fetched since the cache was trimmed: do so early
        self.is_local = remote is None or remote.is_local

    @classmethod
    def open(
        cls, url: str, *, cache: Path | None = None, cache_bytes: int = DEFAULT_CACHE_BYTES
    ) -> Store:
        """Open the store at `url`: a path, `file:///…` or any fsspec URL (`s3://bucket/folder`).

        cache: folder for what is fetched from a remote store, `~/.mlq/cache` when left out; steps'
            scratch folders should be on its file system, so that inputs are links and not copies.
        cache_bytes: size that the cache is trimmed to.
        Raises SettingsError for an address that cannot be one.
        """
        parts = urlsplit(url)
        if "://" not in url or parts.scheme == "file":
            if parts.scheme == "file" and parts.netloc not in {"", "localhost"}:
                raise SettingsError(
                    f"The artifact store {url} names the host {parts.netloc!r}; "
                    "write file:///path with three slashes for a folder of this machine."
                )
            path = Path(unquote(parts.path) if parts.scheme == "file" else url).expanduser()
            files = LocalObjects(path.absolute())
            files.sweep()
            return cls(files, None, cache_bytes=cache_bytes)
        files = LocalObjects((cache or Path.home() / ".mlq" / "cache").absolute())
        files.sweep()
        return cls(files, RemoteObjects(url.rstrip("/")), cache_bytes=cache_bytes)

    def __repr__(self) -> str:
        return f"Store({self._remote or self._files})"

    def put_file(self, path: Path) -> Blob:
        """Store the bytes of a regular file. Raises StepError for links, devices and such."""
        with open_regular(path) as (file, _):
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if self.exists(digest) and self.claim(digest):
                if self._remote is None:
                    self._files.flush(digest)
                return Blob(digest, self.size(digest))
            file.seek(0)
            try:
                return self.put_stream(iter(lambda: file.read(CHUNK_BYTES), b""), expected=digest)
            except ConflictError:
                raise StepError(
                    f"{path} changed while it was stored.",
                    code="file_changed",
                    hint="Finish writing a file before the step ends.",
                ) from None

    def put_stream(
        self,
        chunks: Iterable[bytes],
        *,
        expected: str | None = None,
        max_bytes: int | None = None,
    ) -> Blob:
        """Store `chunks`, hashed on the way; memory stays bounded by the largest chunk.

        Raises as `Writer.write` and `Writer.commit` do; nothing is stored then.
        """
        with self.writer(expected=expected, max_bytes=max_bytes) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit()

    def writer(self, *, expected: str | None = None, max_bytes: int | None = None) -> Writer:
        """A context manager for callers whose chunks arrive one by one.

        expected: the digest that the bytes must have; max_bytes: the most that is taken.
        """
        if expected is not None:
            check_digest(expected)
        return Writer(self._files.stage(), self._publish, expected=expected, max_bytes=max_bytes)

    def put_tree(self, folder: Path) -> Tree:
        """Store a folder: each file as a blob, and a manifest whose digest names the tree.

        Raises StepError for symbolic links, devices and names that cannot be kept, TooLargeError
        for too many files. Files that were stored before the error remain; no tree does.
        """
        entries = []
        for path, file in scan_files(folder):
            blob = self.put_file(file)
            is_executable = file.stat().st_mode & 0o100
            mode = MODE_EXECUTABLE if is_executable else MODE_PLAIN
            entries.append(Entry(path, blob.digest, blob.size_bytes, mode))
        return self.put_entries(entries)

    def put_entries(self, entries: Iterable[Entry]) -> Tree:
        """Store a folder of files that are stored already.

        Raises StepError for paths that cannot be kept, TooLargeError for too many of them.
        """
        manifest = write_manifest(entries)
        if len(manifest) > MAX_MANIFEST_BYTES:
            raise TooLargeError("The list of the folder's files is too long to be stored.")
        return read_manifest(manifest, digest=self.put_stream([manifest]).digest)

    def add_link(self, digest: str, link: Link) -> None:
        """Let bytes that lie elsewhere be read as if they were stored; a no-op where they are.

        The caller has hashed them. A file is read where it lies, as long as its size and time of
        modification are those of the link; other sources are fetched when they are first read.
        """
        if not (self.exists(digest) and self.claim(digest)):
            self._objects.write_link(check_digest(digest), link.dump())

    def tree(self, digest: str) -> Tree:
        """The entries of a stored tree. Raises NotFoundError, StepError when it is not a tree."""
        if self.size(digest) > MAX_MANIFEST_BYTES:
            raise StepError(f"Artifact {digest} is not a folder.", code="invalid_tree")
        return read_manifest(self._local(digest).read_bytes(), digest=digest)

    def exists(self, digest: str) -> bool:
        """Whether the blob or tree is stored, complete."""
        return self._objects.exists(check_digest(digest))

    def claim(self, digest: str) -> bool:
        """Whether the blob or tree is stored; if so it counts as stored now, so that it is not
        removed before the caller has named it."""
        return self._objects.claim(check_digest(digest))

    def used_at(self, digest: str) -> datetime | None:
        """When it was last stored or claimed, by the store's clock; None where it is not stored."""
        return self._objects.used_at(check_digest(digest))

    def stored(self) -> Iterator[tuple[str, int]]:
        """Digests and sizes in bytes of everything that is stored, files of trees included."""
        return self._objects.stored()

    def files_of(self, digest: str) -> Iterator[str]:
        """Digests of the files of a stored tree, repeated; none for anything else."""
        if not self.exists(digest):
            return
        with self.read(digest) as file:
            is_tree = file.read(11) == b'{"entries":'
        if is_tree:
            try:
                yield from (entry.digest for entry in self.tree(digest).entries)
            except StepError:
                return  # a file that looks like the list of a folder

    def remove(self, digest: str, *, used_at: datetime) -> bool:
        """Drop what nothing names, unless it was stored or claimed after `used_at`; whether it was.

        With its unpacked folder. Hosts may keep it in their caches for a while.
        """
        is_gone = self._objects.remove(check_digest(digest), used_at=used_at)
        if is_gone and self._remote is not None:
            self._files.delete(digest)
        return is_gone

    def size(self, digest: str) -> int:
        """Size in bytes of a blob, or of a tree's manifest. Raises NotFoundError."""
        try:
            return self._objects.size(check_digest(digest))
        except NotFoundError:
            link = self._find_link(digest)
            if link is None:
                raise
            return link.size_bytes

    def read(self, digest: str) -> BinaryIO:
        """Open a blob for reading; the caller closes it.

        Raises NotFoundError, and as `fetch` does for bytes that lie elsewhere.
        """
        if self._files.path(check_digest(digest)).is_symlink():
            return self._local(digest).open("rb")
        try:
            return self._objects.read(digest)
        except NotFoundError:
            if self._find_link(digest) is None:
                raise
            return self._local(digest).open("rb")

    def fetch(
        self,
        digest: str,
        *,
        kind: Literal["blob", "tree"],
        name: str | None = None,
        into: Path | None = None,
    ) -> Path:
        """A local, read-only path of a blob (a file) or a tree (a folder).

        name: the last part of the path; readers look at a file's extension. A tree needs none
            unless `into` is given.
        into: a folder, such as a step's scratch, that holds the result under `name` or the digest
            and keeps it whatever the cache drops. Without it the path is shared by all readers,
            and kept by the cache for an hour after its last fetch.
        Nothing is copied on one file system (hard links), except executable files of trees.
        Raises NotFoundError, StepError for a manifest that is unsafe or for bytes elsewhere that
        changed since they were registered (`data_changed`), UnavailableError.
        """
        check_digest(digest)
        if name is not None:
            check_name(name)
        if kind == "blob":
            self._local(digest)
            return self._files.file(digest, name=name, into=into)
        if into is None and (shared := self._files.unpacked(digest)):
            if self._files.read_link(digest) is not None:
                for entry in self.tree(digest).entries:
                    self._local(entry.digest)
            if self._remote is not None:
                cache_folder.touch(shared)
            return shared
        tree = self.tree(digest)
        for entry in tree.entries:
            self._local(entry.digest)
        final = None if into is None else into / (name or digest)
        if any(self._files.path(entry.digest).is_symlink() for entry in tree.entries):
            self._files.write_link(digest, b"")  # whoever comes again looks at its files again
        return self._files.tree(tree, into=final)

    def check(self) -> None:
        """Write, read back and remove a probe. Raises UnavailableError."""
        self._files.check()
        if self._remote is not None:
            self._remote.check()

    def delete(self, digest: str) -> None:
        """Drop a blob, or a tree's manifest and its unpacked folder; a no-op where there is none.

        The caller knows that nothing refers to it any more.
        """
        check_digest(digest)
        if self._remote is not None:
            self._remote.delete(digest)
        self._files.delete(digest)

    @property
    def _objects(self) -> LocalObjects | RemoteObjects:
        return self._remote or self._files

    def _publish(self, staged: Staged, digest: str) -> None:
        if self._remote is not None:
            self._remote.upload(staged.path, digest)
            self._note_cached(staged.path.stat().st_size)
        # Kept in the cache as well: the next step on this host often reads it.
        self._files.publish(staged, digest)

    def _local(self, digest: str) -> Path:
        """The object's path on this machine, fetched into the cache when it is not there."""
        path = self._files.path(digest)
        if path.is_symlink():
            return self._follow(digest)
        if self._remote is not None:
            cache_folder.touch(path)
        if path.is_file():
            return path
        try:
            if self._remote is None:
                self._files.size(digest)  # raises NotFoundError
            else:
                self._download(digest, self._remote)
        except NotFoundError:
            if self._find_link(digest) is None:
                raise
            return self._follow(digest)
        return path

    def _download(self, digest: str, remote: RemoteObjects) -> None:
        staged = self._files.stage()
        try:
            hashed = hashlib.sha256()
            with remote.read(digest) as source:
                while chunk := self._read(source):
                    hashed.update(chunk)
                    staged.write(chunk)
            if hashed.hexdigest() != digest:
                raise UnavailableError(
                    f"The artifact store {remote.url} returned other bytes for {digest}.",
                    code="artifact_corrupt",
                    hint="Run again; if it stays so, the object there is damaged: delete it "
                    "and run the job that made it again.",
                )
            self._note_cached(staged.path.stat().st_size)
            self._files.publish(staged, digest)
        finally:
            staged.discard()

    def _find_link(self, digest: str) -> Link | None:
        content = self._objects.read_link(digest)
        return None if content is None else Link.load(content)

    def _follow(self, digest: str) -> Path:
        """The path of bytes that lie elsewhere, if they are still those that were registered."""
        link = self._find_link(digest)
        if link is None:
            raise NotFoundError(f"There is no artifact {digest}.", code="artifact_not_found")
        path = self._files.path(digest)
        file = link.source.path
        if file is not None:
            try:
                status = file.stat()
            except OSError as error:
                raise StepError(
                    f"{link.source.shown} cannot be read: {error.strerror}.",
                    code="source_missing",
                    hint="It was registered without a copy: make it readable on this machine.",
                ) from None
            if (status.st_size, status.st_mtime_ns) != (link.size_bytes, link.modified_ns):
                raise _changed(link)
            if not path.is_symlink():
                self._files.refer(digest, file)
            return path
        with self._staged_link(link, digest) as staged:
            self._note_cached(staged.path.stat().st_size)
            self._files.publish(staged, digest)
        return path

    @contextmanager
    def _staged_link(self, link: Link, digest: str) -> Iterator[Staged]:
        staged = self._files.stage()
        try:
            hashed = hashlib.sha256()
            for chunk in read_chunks(link.source):
                hashed.update(chunk)
                staged.write(chunk)
            if hashed.hexdigest() != digest:
                raise _changed(link)
            yield staged
        finally:
            staged.discard()

    def _read(self, source: BinaryIO) -> bytes:
        try:
            return source.read(CHUNK_BYTES)
        except MlqError:
            raise
        except Exception as error:  # each client has errors of its own
            raise UnavailableError(
                f"The artifact store stopped in the middle of a file: {error!s:.300}."
            ) from error

    def _note_cached(self, size_bytes: int) -> None:
        self._untrimmed += size_bytes
        if self._untrimmed * 16 >= self._cache_bytes:
            cache_folder.trim(self._files, max_bytes=max(0, self._cache_bytes - size_bytes))
            self._untrimmed = 0


def _changed(link: Link) -> StepError:
    return StepError(
        f"{link.source.shown} changed since it was registered.",
        code="data_changed",
        hint="Register it again as a new version: versions never change.",
    )


class Writer:
    """Bytes on their way into the store. Leaving the context without `commit` drops them."""

    def __init__(
        self,
        staged: Staged,
        publish: Callable[[Staged, str], None],
        *,
        expected: str | None,
        max_bytes: int | None,
    ) -> None:
        self._staged = staged
        self._publish = publish
        self._expected = expected
        self._max_bytes = max_bytes
        self._hashed = hashlib.sha256()
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def write(self, chunk: bytes) -> None:
        """Append `chunk`. Raises TooLargeError beyond `max_bytes`, UnavailableError when full."""
        self.size_bytes += len(chunk)
        if self._max_bytes is not None and self.size_bytes > self._max_bytes:
            raise TooLargeError(f"The bytes exceed the limit of {self._max_bytes}.")
        self._hashed.update(chunk)
        self._staged.write(chunk)

    def commit(self) -> Blob:
        """Publish the bytes under their digest; a no-op for bytes that are stored already.

        Raises ConflictError when they are not those that were expected.
        """
        digest = self._hashed.hexdigest()
        if self._expected is not None and digest != self._expected:
            raise ConflictError(
                f"The bytes have the digest {digest}, expected was {self._expected}.",
                code="digest_mismatch",
                hint="The file changed or was cut short on its way: send it again.",
            )
        self._publish(self._staged, digest)
        return Blob(digest, self.size_bytes)

    def abort(self) -> None:
        """Drop what was written; a no-op after `commit`."""
        self._staged.discard()
