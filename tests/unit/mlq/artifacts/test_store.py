"""The contract of the store, on a folder and behind an fsspec address."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mlq.artifacts import Store
from mlq.errors import (
    ConflictError,
    NotFoundError,
    SettingsError,
    StepError,
    TooLargeError,
    UnavailableError,
)

BAD_DIGESTS = [
    "",
    "..",
    "../../etc/passwd",
    "A" * 64,
    "a" * 63,
    "a" * 64 + "\n",
    "/" * 64,
    "a" * 65,
]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store.open(str(tmp_path / "store"))
    return Store.open(f"memory://{tmp_path.name}-{os.getpid()}", cache=tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def files_below(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "trim.lock"
    )


def make_tree(folder: Path) -> Path:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "deep" / "er" / "data é.bin").write_bytes(b"\x00\xff")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


def test_what_is_put_is_read_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n")
    blob = store.put_file(tmp_path / "a.csv")
    assert blob.digest == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (blob.size_bytes, store.size(blob.digest)) == (8, 8)
    assert store.exists(blob.digest)
    with store.read(blob.digest) as file:
        assert file.read() == b"a,b\n1,2\n"


def test_identical_bytes_are_stored_once(folder: Path, tmp_path: Path) -> None:
    store = Store.open(folder.as_uri())
    (tmp_path / "a").write_bytes(b"same")
    first = store.put_file(tmp_path / "a")
    inode = store.fetch(first.digest, kind="blob").stat().st_ino
    assert store.put_file(tmp_path / "a") == store.put_stream([b"sa", b"me"]) == first
    assert files_below(folder) == [f"objects/{first.digest[:2]}/{first.digest}"]
    assert store.fetch(first.digest, kind="blob").stat().st_ino == inode


def test_concurrent_writers_of_the_same_bytes_agree(store: Store, folder: Path) -> None:
    chunks = [bytes([number]) * 1000 for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        blobs = set(pool.map(lambda _: store.put_stream(chunks), range(32)))
    (blob,) = blobs
    with store.read(blob.digest) as file:
        assert file.read() == b"".join(chunks)
    assert files_below(folder) == [f"objects/{blob.digest[:2]}/{blob.digest}"]


def test_empty_bytes_are_bytes(store: Store) -> None:
    blob = store.put_stream([])
    assert blob.size_bytes == 0
    assert store.fetch(blob.digest, kind="blob").read_bytes() == b""


def test_wrong_digest_stores_nothing(store: Store, folder: Path) -> None:
    with pytest.raises(ConflictError, match="expected was 0000"):
        store.put_stream([b"abc"], expected="0" * 64)
    assert files_below(folder) == []
    assert not store.exists(hashlib.sha256(b"abc").hexdigest())


def test_too_many_bytes_store_nothing(store: Store, folder: Path) -> None:
    def endless():  # type: ignore[no-untyped-def]
        while True:
            yield b"x" * 1000

    with pytest.raises(TooLargeError, match="2500"):
        store.put_stream(endless(), max_bytes=2500)
    assert files_below(folder) == []


def test_chunks_that_raise_store_nothing(store: Store, folder: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield b"first"
        raise ConnectionResetError("client left")

    with pytest.raises(ConnectionResetError):
        store.put_stream(broken())
    assert files_below(folder) == []


def test_writer_commits_or_aborts(store: Store, folder: Path) -> None:
    with store.writer() as writer:
        writer.write(b"a")
    assert files_below(folder) == []
    with store.writer() as writer:
        writer.write(b"a")
        writer.write(b"b")
        blob = writer.commit()
    assert blob.digest == hashlib.sha256(b"ab").hexdigest()
    assert store.exists(blob.digest)


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_only_digests_make_paths(store: Store, digest: str) -> None:
    for call in (
        store.exists,
        store.size,
        store.read,
        store.delete,
        store.tree,
        lambda text: store.fetch(text, kind="blob"),
        lambda text: store.fetch(text, kind="tree"),
        lambda text: store.put_stream([b""], expected=text),
    ):
        with pytest.raises(StepError, match="digest"):
            call(digest)


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/abs", "a/b", "a\\b", "a\0", "é" * 128])
def test_names_stay_in_their_folder(store: Store, tmp_path: Path, name: str) -> None:
    blob = store.put_stream([b"x"])
    for into in (None, tmp_path / "into"):
        with pytest.raises(StepError, match="file name"):
            store.fetch(blob.digest, kind="blob", name=name, into=into)


def test_what_is_missing_is_not_found(store: Store, tmp_path: Path) -> None:
    digest = "0" * 64
    assert not store.exists(digest)
    for call in (store.size, store.read, store.tree):
        with pytest.raises(NotFoundError, match=digest):
            call(digest)
    for into in (None, tmp_path / "into"):
        for kind in ("blob", "tree"):
            with pytest.raises(NotFoundError, match=digest):
                store.fetch(digest, kind=kind, name="x", into=into)  # type: ignore[arg-type]
    store.delete(digest)


def test_fetched_blob_has_its_name_and_no_copy(store: Store, tmp_path: Path) -> None:
    blob = store.put_stream([b"a,b\n"])
    plain = store.fetch(blob.digest, kind="blob")
    shared = store.fetch(blob.digest, kind="blob", name="churn.csv")
    own = store.fetch(blob.digest, kind="blob", name="in.csv", into=tmp_path / "scratch")
    assert (shared.name, own) == ("churn.csv", tmp_path / "scratch" / "in.csv")
    assert plain.stat().st_ino == shared.stat().st_ino == own.stat().st_ino
    assert own.stat().st_mode & 0o777 == 0o400
    assert store.fetch(blob.digest, kind="blob", name="churn.csv") == shared
    again = store.fetch(blob.digest, kind="blob", name="in.csv", into=tmp_path / "scratch")
    assert again.read_bytes() == b"a,b\n"
    assert sorted(path.name for path in own.parent.iterdir()) == ["in.csv"]


def test_files_belong_to_their_owner_alone(folder: Path, tmp_path: Path) -> None:
    store = Store.open(str(folder))
    tree = store.put_tree(make_tree(tmp_path / "made"))
    store.fetch(tree.digest, kind="tree")
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_tree_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    made = make_tree(tmp_path / "made")
    tree = store.put_tree(made)
    assert [entry.path for entry in tree.entries] == ["MLmodel", "deep/er/data é.bin", "run.sh"]
    assert tree == store.tree(tree.digest)
    assert tree.size_bytes == 11 + 2 + 10
    for got in (
        store.fetch(tree.digest, kind="tree"),
        store.fetch(tree.digest, kind="tree", name="model", into=tmp_path / "scratch"),
    ):
        assert (got / "deep/er/data é.bin").read_bytes() == b"\x00\xff"
        assert os.access(got / "run.sh", os.X_OK)
        assert files_below(got) == files_below(made)
        assert (got / "deep").stat().st_mode & 0o777 == 0o500
    assert got == tmp_path / "scratch" / "model"
    with pytest.raises(StepError, match="exists already"):
        store.fetch(tree.digest, kind="tree", name="model", into=tmp_path / "scratch")


def test_equal_folders_make_one_tree(store: Store, tmp_path: Path) -> None:
    first = store.put_tree(make_tree(tmp_path / "one"))
    (tmp_path / "two").mkdir(mode=0o700)
    (tmp_path / "two" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "two" / "run.sh").chmod(0o700)
    (tmp_path / "two" / "MLmodel").write_text("flavors: {}")
    (tmp_path / "two" / "MLmodel").chmod(0o600)
    (tmp_path / "two" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "two" / "deep" / "er" / "data é.bin").write_bytes(b"\x00\xff")
    assert store.put_tree(tmp_path / "two").digest == first.digest


def test_concurrent_readers_share_one_unpacked_tree(store: Store, tmp_path: Path) -> None:
    tree = store.put_tree(make_tree(tmp_path / "made"))
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: store.fetch(tree.digest, kind="tree"), range(16)))
    (path,) = paths
    assert [item.name for item in path.parent.iterdir()] == [tree.digest]
    assert len(files_below(path)) == 3


def test_links_and_devices_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(StepError, match="symbolic link"):
        store.put_file(folder / "link")
    with pytest.raises(StepError, match="symbolic link"):
        store.put_tree(folder)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(StepError, match="not a regular file"):
        store.put_file(folder / "pipe")
    with pytest.raises(StepError, match="not a regular file"):
        store.put_tree(folder)
    (tmp_path / "linked").symlink_to(folder)
    for missing in (tmp_path / "linked", tmp_path / "nothing", tmp_path / "secret"):
        with pytest.raises(StepError, match="not a folder"):
            store.put_tree(missing)
    with pytest.raises(StepError, match="There is no file"):
        store.put_file(tmp_path / "nothing")


def test_delete_drops_the_bytes(store: Store, folder: Path) -> None:
    blob = store.put_stream([b"x"])
    store.fetch(blob.digest, kind="blob", name="x.csv")
    store.delete(blob.digest)
    assert not store.exists(blob.digest)
    assert files_below(folder) == []


def test_check_leaves_nothing(store: Store, folder: Path) -> None:
    store.check()
    assert files_below(folder) == []


def test_crash_before_the_rename_leaves_no_artifact(folder: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from mlq.artifacts import Store
Path.replace = lambda self, target: os._exit(9)
Store.open(sys.argv[1]).put_stream([b"half"])
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert done.returncode == 9
    (left,) = files_below(folder)
    assert left.startswith("tmp/")
    store = Store.open(str(folder))
    assert not store.exists(hashlib.sha256(b"half").hexdigest())
    os.utime(folder / left, (0, 0))  # more than a day ago
    assert Store.open(str(folder)).put_stream([b"half"]).size_bytes == 4
    assert not (folder / left).exists()


def test_full_disk_is_said_and_stores_nothing(folder: Path) -> None:
    script = """
import resource, signal, sys
from mlq.artifacts import Store
from mlq.errors import UnavailableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Store.open(sys.argv[1]).put_stream([b"x" * 800, b"y" * 800])
except UnavailableError as error:
    print(error.code, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("store_full The artifact store")
    assert files_below(folder) == []


def test_unusable_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be used"):
        Store.open(str(tmp_path / "file")).check()


def test_addresses(tmp_path: Path) -> None:
    spaced = tmp_path / "a b"
    assert Store.open(spaced.as_uri()).put_stream([b"x"]).digest
    assert (spaced / "objects").is_dir()
    assert Store.open(str(spaced)).is_local
    assert Store.open("memory://there", cache=tmp_path / "cache").is_local
    with pytest.raises(SettingsError, match="three slashes"):
        Store.open("file://host/path")
    with pytest.raises(SettingsError, match="cannot be opened"):
        Store.open("nosuch://bucket", cache=tmp_path / "cache")


def test_remote_object_is_fetched_once_and_checked(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}-{os.getpid()}"
    blob = Store.open(url, cache=tmp_path / "one").put_stream([b"good"])
    other = Store.open(url, cache=tmp_path / "two")
    assert other.fetch(blob.digest, kind="blob", name="a.csv").read_bytes() == b"good"
    client, root = fsspec.core.url_to_fs(url)
    client.pipe_file(f"{root}/objects/{blob.digest[:2]}/{blob.digest}", b"evil")
    assert other.fetch(blob.digest, kind="blob").read_bytes() == b"good"
    with pytest.raises(UnavailableError, match="other bytes"):
        Store.open(url, cache=tmp_path / "three").fetch(blob.digest, kind="blob")
    assert files_below(tmp_path / "three") == []


class Bucket(MemoryFileSystem):
    """A remote that shows half-written files under their name, and fails when told to."""

    protocol = "bucket"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails_on: ClassVar[str] = ""
    seen: ClassVar[list[str]] = []

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self.seen.append(rpath)
        if self.fails_on == "put":
            raise TimeoutError("no answer")
        super().put_file(lpath, rpath, **kwargs)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found = dict(super().info(path, **kwargs))
        return found | {"size": 1} if self.fails_on == "size" else found


@pytest.fixture
def bucket() -> Iterator[type[Bucket]]:
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    yield Bucket
    Bucket.fails_on = ""
    Bucket.store.clear()
    Bucket.seen.clear()


def test_upload_appears_under_its_name_when_complete(bucket: type[Bucket], tmp_path: Path) -> None:
    store = Store.open("bucket://b/mlq", cache=tmp_path / "cache")
    assert not store.is_local
    blob = store.put_stream([b"bytes"])
    (sent,) = bucket.seen
    assert "/tmp/" in sent
    assert [key.rpartition("/")[2] for key in bucket.store] == [blob.digest]
    store.check()
    assert len(bucket.store) == 1


@pytest.mark.parametrize(("fails_on", "message"), [("put", "no answer"), ("size", "kept 1 of 5")])
def test_failed_upload_stores_nothing(
    bucket: type[Bucket], tmp_path: Path, fails_on: str, message: str
) -> None:
    bucket.fails_on = fails_on
    store = Store.open("bucket://b/mlq", cache=tmp_path / "cache")
    with pytest.raises(UnavailableError, match=message):
        store.put_stream([b"bytes"])
    bucket.fails_on = ""
    assert not store.exists(hashlib.sha256(b"bytes").hexdigest())
    assert files_below(tmp_path / "cache") == []


def test_store_works_on_after_a_fork(bucket: type[Bucket], tmp_path: Path) -> None:
    store = Store.open("bucket://b/mlq", cache=tmp_path / "cache")
    blob = store.put_stream([b"bytes"])
    child = os.fork()
    if child == 0:
        os._exit(0 if store.size(blob.digest) == 5 else 1)
    assert os.waitpid(child, 0)[1] == 0
