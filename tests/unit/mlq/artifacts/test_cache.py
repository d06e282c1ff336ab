"""The cache before a remote store stays within its size."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mlq.artifacts import Store
from mlq.artifacts.cache import KEEP_S, trim
from mlq.artifacts.local import LocalObjects


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}-{os.getpid()}"


def test_least_recently_fetched_goes_first(url: str, tmp_path: Path) -> None:
    store = Store.open(url, cache=tmp_path)
    blobs = [store.put_stream([bytes([number]) * 1000]) for number in range(4)]
    cache = LocalObjects(tmp_path)
    for age, blob in enumerate(blobs):
        os.utime(cache.path(blob.digest), (10_000 + age, 10_000 + age))
    named = store.fetch(blobs[0].digest, kind="blob", name="a.csv")  # used now
    kept = store.fetch(blobs[1].digest, kind="blob", name="b.csv", into=tmp_path / "scratch")
    os.utime(cache.path(blobs[1].digest), (10_001, 10_001))
    trim(cache, max_bytes=2000)
    assert [cache.exists(blob.digest) for blob in blobs] == [True, False, False, True]
    assert named.read_bytes() == b"\0" * 1000
    assert kept.read_bytes() == b"\1" * 1000
    assert store.fetch(blobs[1].digest, kind="blob").read_bytes() == b"\1" * 1000


def test_what_is_in_use_is_kept_over_the_limit(url: str, tmp_path: Path) -> None:
    store = Store.open(url, cache=tmp_path)
    blob = store.put_stream([b"x" * 1000])
    cache = LocalObjects(tmp_path)
    trim(cache, max_bytes=0)
    assert cache.exists(blob.digest)
    trim(cache, max_bytes=0, now=time.time() + KEEP_S + 1)
    assert not cache.exists(blob.digest)


def test_tree_and_objects_share_their_bytes(url: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a").write_bytes(b"x" * 1000)
    store = Store.open(url, cache=tmp_path / "cache")
    tree = store.put_tree(tmp_path / "made")
    folder = store.fetch(tree.digest, kind="tree")
    cache = LocalObjects(tmp_path / "cache")
    later = time.time() + KEEP_S + 1
    trim(cache, max_bytes=1200, now=later)  # 1000 bytes and the manifest, each counted once
    assert folder.is_dir()
    assert cache.exists(tree.digest)
    trim(cache, max_bytes=0, now=later)
    assert not folder.exists()
    assert not cache.exists(tree.digest)
    assert (store.fetch(tree.digest, kind="tree") / "a").read_bytes() == b"x" * 1000


def test_store_trims_on_its_own(url: str, tmp_path: Path) -> None:
    store = Store.open(url, cache=tmp_path, cache_bytes=1500)
    first = store.put_stream([b"a" * 1000])
    os.utime(LocalObjects(tmp_path).path(first.digest), (10_000, 10_000))
    second = store.put_stream([b"b" * 1000])
    assert not LocalObjects(tmp_path).exists(first.digest)
    assert LocalObjects(tmp_path).exists(second.digest)
    assert store.exists(first.digest)
