"""Objects in a folder of this machine: the local store, and the cache before a remote one.

    objects/ab/<digest>     the bytes, mode 0400, complete and flushed before they have this name
    names/ab/<digest>/name  hard links, for readers that look at a file's name
    trees/ab/<digest>/      unpacked trees, read-only; their files are hard links where possible
    tmp/                    what is being written; swept when older than a day

Links cost no space and keep bytes alive for a reader while their object is dropped. A process of
the same user could still write through a link after changing its mode: steps are not trusted to be
kept apart by this, only kept from accidents.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from mlq.artifacts.digests import check_digest, check_name, is_digest
from mlq.artifacts.trees import MODE_EXECUTABLE, Tree
from mlq.errors import NotFoundError, StepError, UnavailableError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STALE_S = 24 * 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Staged:
    """A file that is being written and has no name in the store yet."""

    def __init__(self, path: Path, descriptor: int, where: str) -> None:
        self.path = path
        self.descriptor = descriptor
        self._where = where

    def write(self, chunk: bytes | memoryview) -> None:
        """Append `chunk`. Raises UnavailableError when the disk is full."""
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            raise disk_error(error, self._where) from error

    def discard(self) -> None:
        """Close the file and remove it, unless it has got its name meanwhile."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self.path.unlink(missing_ok=True)


class LocalObjects:
    """Objects below `root`. Every method may raise UnavailableError when the disk does not obey."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalObjects({self.root})"

    def path(self, digest: str) -> Path:
        """Where the object is, or would be."""
        return self.root / "objects" / check_digest(digest)[:2] / digest

    def size(self, digest: str) -> int:
        """Size in bytes. Raises NotFoundError."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise missing(digest) from None

    def exists(self, digest: str) -> bool:
        """Whether the object is here, complete, and not just a link to a file elsewhere."""
        path = self.path(digest)
        return path.is_file() and not path.is_symlink()

    def read(self, digest: str) -> BinaryIO:
        """Open the object for reading. Raises NotFoundError."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise missing(digest) from None

    def stage(self) -> Staged:
        """A new private file below tmp/; `publish` gives it its name, `discard` removes it."""
        with self._reported():
            path = self._fresh()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            return Staged(path, descriptor, str(self.root))

    def publish(self, staged: Staged, digest: str) -> None:
        """Give a staged file its final name; a no-op where the same bytes have it already.

        The bytes are flushed before the name appears and the name before this returns, so neither
        a crash nor a power cut leaves half an artifact or loses one that was answered for.
        """
        with self._reported():
            final = self.path(digest)
            has_size = _has_size(final, os.fstat(staged.descriptor).st_size)
            if not has_size or final.is_symlink() or not self.claim(digest):
                os.fchmod(staged.descriptor, 0o400)
                os.fsync(staged.descriptor)
                self._make_folder(final.parent)
                staged.path.replace(final)
            # Also where another writer was first: its own flush may not have happened yet.
            _flush_folder(final.parent)
        staged.discard()

    def refer(self, digest: str, file: Path) -> None:
        """Let a symbolic link to `file` be the object, in place of another link."""
        with self._reported():
            final = self.path(digest)
            self._make_folder(final.parent)
            staged = self._fresh()
            staged.symlink_to(file)
            staged.replace(final)

    def write_link(self, digest: str, content: bytes) -> None:
        """Keep what stands in for the object's bytes."""
        with self._reported():
            final = self._link(digest)
            self._make_folder(final.parent)
            staged = self._fresh()
            staged.write_bytes(content)
            staged.replace(final)
            _flush_folder(final.parent)

    def read_link(self, digest: str) -> bytes | None:
        """What stands in for the object's bytes."""
        try:
            return self._link(digest).read_bytes()
        except FileNotFoundError:
            return None

    def claim(self, digest: str) -> bool:
        """Whether the object, or what stands in for it, is here; if so as if it were stored now."""
        with self._reported(), self._held(fcntl.LOCK_SH):
            found = False
            for path in (self.path(digest), self._link(digest)):
                with suppress(FileNotFoundError):
                    os.utime(path, follow_symlinks=False)
                    found = True
            return found

    def used_at(self, digest: str) -> datetime | None:
        """When it was last stored or claimed, by this machine's clock; None where it is not."""
        times = []
        for path in (self.path(digest), self._link(digest)):
            with suppress(FileNotFoundError):
                times.append(path.lstat().st_mtime_ns)
        return _EPOCH + timedelta(microseconds=max(times) // 1000) if times else None

    def stored(self) -> Iterator[tuple[str, int]]:
        """Every object and every stand-in: digest and size in bytes."""
        for folder in ("objects", "links"):
            for path in (self.root / folder).glob("??/*"):
                with suppress(FileNotFoundError):
                    if is_digest(path.name):
                        yield path.name, path.lstat().st_size

    def remove(self, digest: str, *, used_at: datetime) -> bool:
        """Drop the object unless it was stored or claimed after `used_at`; whether it was."""
        with self._reported(), self._held(fcntl.LOCK_EX):
            if self.used_at(digest) != used_at:
                return False
            self.delete(digest)
            return True

    def flush(self, digest: str) -> None:
        """See to it that a name another writer has just made outlives a power cut."""
        with self._reported():
            _flush_folder(self.path(digest).parent)

    def delete(self, digest: str) -> None:
        """Drop the object and what was made of it; a no-op where there is none."""
        with self._reported():
            self.path(digest).unlink(missing_ok=True)
            self._link(digest).unlink(missing_ok=True)
            remove_folder(self._names(digest))
            remove_folder(self._tree(digest))

    def check(self) -> None:
        """Write a file, read it back and remove it. Raises UnavailableError."""
        probe = os.urandom(64)
        staged = self.stage()
        try:
            staged.write(probe)
            with self._reported():
                os.fsync(staged.descriptor)
                if staged.path.read_bytes() != probe:
                    raise UnavailableError(f"The artifact store {self.root} returns other bytes.")
        finally:
            staged.discard()

    def sweep(self) -> None:
        """Remove what crashed writers left in tmp/ more than a day ago."""
        folder = self.root / "tmp"
        if not folder.is_dir():
            return
        with self._reported(), os.scandir(folder) as found:
            for item in found:
                try:
                    is_stale = time.time() - item.stat(follow_symlinks=False).st_mtime > _STALE_S
                except FileNotFoundError:
                    continue  # its writer finished meanwhile
                if is_stale:
                    if item.is_dir(follow_symlinks=False):
                        remove_folder(Path(item.path))
                    else:
                        Path(item.path).unlink(missing_ok=True)

    def file(self, digest: str, *, name: str | None, into: Path | None) -> Path:
        """A read-only path of the object, called `name`, in the folder `into` where one is given.

        Raises NotFoundError.
        """
        source = self.path(digest)
        if into is None and name is None:
            if not source.is_file():
                raise missing(digest)
            return source
        with self._reported():
            folder = self._make_folder(self._names(digest) if into is None else into)
            final = folder / check_name(name or digest)
            if into is None and final.is_file():
                return final
            staged = folder / f".{uuid.uuid4().hex}.tmp"
            try:
                place(source, staged)
                # Renaming onto another link of the same inode does nothing: `staged` stays.
                staged.replace(final)
            except FileNotFoundError:
                if source.exists():
                    raise
                raise missing(digest) from None
            finally:
                staged.unlink(missing_ok=True)
            return final

    def unpacked(self, digest: str) -> Path | None:
        """The shared folder of a tree, or None when it has not been unpacked yet."""
        folder = self._tree(digest)
        return folder if folder.is_dir() else None

    def tree(self, tree: Tree, *, into: Path | None) -> Path:
        """A read-only folder with the files of `tree`, all of whose objects are here.

        into: the folder to make; left out, one is made once and shared by everybody.
        Raises NotFoundError, and StepError where an object is not as large as the tree says.
        """
        with self._reported():
            final = self._tree(tree.digest) if into is None else into
            # Beside its final name: a read-only folder cannot be moved to another parent.
            self._make_folder(final.parent)
            staged = final.parent / f".{uuid.uuid4().hex}.tmp"
            try:
                self._unpack(tree, staged)
                staged.rename(final)
            except OSError as error:
                if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                    raise
                if into is not None:
                    raise StepError(f"{final} exists already.", code="file_exists") from None
            finally:
                remove_folder(staged)
            return final

    def _unpack(self, tree: Tree, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        folders = {folder}
        for entry in tree.entries:
            source, target = self.path(entry.digest), folder / entry.path
            try:
                size = source.stat().st_size
            except FileNotFoundError:
                raise missing(entry.digest) from None
            if size != entry.size_bytes:
                raise StepError(
                    f"Tree {tree.digest} says that {entry.path} has {entry.size_bytes} bytes; "
                    f"it has {size}.",
                    code="invalid_tree",
                )
            for parent in reversed(target.relative_to(folder).parents[:-1]):
                if (made := folder / parent) not in folders:
                    made.mkdir(mode=0o700)
                    folders.add(made)
            if entry.mode == MODE_EXECUTABLE:
                # A copy: links share their mode with the object.
                shutil.copyfile(source, target)
                target.chmod(0o500)
            else:
                place(source, target)
        for made in folders:
            made.chmod(0o500)

    def _link(self, digest: str) -> Path:
        return self.root / "links" / check_digest(digest)[:2] / digest

    def _names(self, digest: str) -> Path:
        return self.root / "names" / check_digest(digest)[:2] / digest

    def _tree(self, digest: str) -> Path:
        return self.root / "trees" / check_digest(digest)[:2] / digest

    def _fresh(self) -> Path:
        return self._make_folder(self.root / "tmp") / uuid.uuid4().hex

    def _make_folder(self, folder: Path) -> Path:
        """Make `folder` (0700) and the missing ones above it; each is flushed into its parent."""
        if not folder.is_dir():
            if folder != folder.parent:
                self._make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            _flush_folder(folder.parent)
        return folder

    @contextmanager
    def _held(self, how: int) -> Iterator[None]:
        """Nobody removes an object while others claim it."""
        descriptor = os.open(self._make_folder(self.root), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_error(error, str(self.root)) from error


def place(source: Path, target: Path) -> None:
    """Put `source` at `target` without copying where the file system can, read-only in any case."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            raise
        shutil.copyfile(source, target)
        target.chmod(0o400)


def remove_folder(folder: Path) -> None:
    """Remove a folder that may be read-only; a no-op where there is none."""
    if not folder.exists():
        return
    for current, _, _ in os.walk(folder):
        Path(current).chmod(0o700)
    shutil.rmtree(folder)


def missing(digest: str) -> NotFoundError:
    """The error for an object that is not in the store."""
    return NotFoundError(f"There is no artifact {digest}.", code="artifact_not_found")


def disk_error(error: OSError, where: str) -> UnavailableError:
    """What an OSError of the store at `where` means to a user."""
    if error.errno in _FULL:
        return UnavailableError(
            f"The artifact store {where} is full; nothing was stored.",
            code="store_full",
            hint="Free space there, or set MLQ_ARTIFACT_URL to a larger place.",
        )
    return UnavailableError(
        f"The artifact store {where} cannot be used: {error.strerror or error}.",
        hint="Check that the folder exists, belongs to this user and is writable.",
    )


def _has_size(path: Path, size: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
