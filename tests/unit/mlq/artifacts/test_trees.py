"""Manifests are written by anybody who can upload a blob: nothing in them is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlq.artifacts import Store, trees
from mlq.artifacts.trees import Entry, read_manifest, write_manifest
from mlq.errors import StepError, TooLargeError

DIGEST = "a" * 64


def entry(**changes: Any) -> dict[str, Any]:
    return {"path": "a.csv", "digest": DIGEST, "size_bytes": 1, "mode": 0o644} | changes


@pytest.mark.parametrize(
    "entries",
    [
        [entry(path="../up")],
        [entry(path="a/../../up")],
        [entry(path="/etc/passwd")],
        [entry(path="a//b")],
        [entry(path="a/")],
        [entry(path="")],
        [entry(path=".")],
        [entry(path="a\\b")],
        [entry(path="a\0b")],
        [entry(path="a\nb")],
        [entry(path="\ud800")],
        [entry(path="x" * 300)],
        [entry(path="x/" * 2000 + "x")],
        [entry(path=3)],
        [entry(), entry()],
        [entry(path="a"), entry(path="a/b")],
        [entry(path="a/b/c"), entry(path="a/b")],
        [entry(digest="../../x")],
        [entry(digest=DIGEST.upper())],
        [entry(digest=None)],
        [entry(size_bytes=-1)],
        [entry(size_bytes="1")],
        [entry(size_bytes=True)],
        [entry(mode=0o4755)],
        [entry(mode=0o120777)],
        [entry(target="/etc/passwd")],
        [{"path": "a"}],
        ["a.csv"],
        [[]],
    ],
)
def test_unsafe_manifests_are_refused_before_anything_is_unpacked(
    tmp_path: Path, entries: list[Any]
) -> None:
    store = Store.open(str(tmp_path / "store"))
    blob = store.put_stream([json.dumps({"entries": entries}).encode()])
    with pytest.raises(StepError):
        store.fetch(blob.digest, kind="tree", name="out", into=tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert not (tmp_path / "store" / "trees").exists()


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b'{"entries": 1}', b"\xff", b"a,b\n1,2\n", b"[" * 200_000]
)
def test_other_bytes_are_no_tree(text: bytes) -> None:
    with pytest.raises(StepError, match="not the manifest"):
        read_manifest(text, digest=DIGEST)


def test_size_must_be_that_of_the_blob(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    blob = store.put_stream([b"five!"])
    manifest = write_manifest([Entry("a", blob.digest, 4)])
    tree = store.put_stream([manifest])
    with pytest.raises(StepError, match="has 4 bytes; it has 5"):
        store.fetch(tree.digest, kind="tree")
    assert not [path for path in (tmp_path / "store" / "trees").rglob("*") if path.is_file()]


def test_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MAX_ENTRIES", 2)
    for name in "abc":
        (tmp_path / name).write_text(name)
    with pytest.raises(TooLargeError, match="more than 2 files"):
        list(trees.scan_files(tmp_path))
    text = json.dumps({"entries": [entry(path=name) for name in "abc"]}).encode()
    with pytest.raises(TooLargeError, match="more than 2 files"):
        read_manifest(text, digest=DIGEST)


def test_manifest_is_canonical() -> None:
    one = write_manifest([Entry("b", DIGEST, 1), Entry("a/é", DIGEST, 2, 0o755)])
    assert one == write_manifest([Entry("a/é", DIGEST, 2, 0o755), Entry("b", DIGEST, 1)])
    first = {"digest": DIGEST, "mode": 493, "path": "a/é", "size_bytes": 2}
    second = {"digest": DIGEST, "mode": 420, "path": "b", "size_bytes": 1}
    record = {"entries": [first, second]}
    assert one.decode() == json.dumps(record, separators=(",", ":"), ensure_ascii=False)
