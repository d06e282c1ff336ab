"""Addresses that data may come from, and bytes that are read where they lie."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from mlq.artifacts import Store
from mlq.artifacts.sources import Link, Source, allow, split_options
from mlq.errors import MlqError, SettingsError, StepError
from mlq.service.imports import read_source


def test_an_operator_says_what_is_allowed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "shared", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("x")
    (inside / "way-out").symlink_to(outside)
    prefixes = [inside.as_uri(), "http://inner:81/data/", "s3://exports/churn?anon=true"]
    assert allow(f"{inside.as_uri()}/a.csv", prefixes).path == inside / "a.csv"
    assert allow("http://inner:81/data/a.csv", prefixes).hosts == ("inner",)
    assert allow("https://example.org/a.csv", prefixes).hosts == ()
    assert allow("s3://exports/churn/1", prefixes).url == "s3://exports/churn/1?anon=true"
    for url in (
        outside.as_uri(),
        f"{inside.as_uri()}/way-out",
        f"{inside.as_uri()}-other/a.csv",
        "s3://exports/churning",
        "s3://other/churn/1",
        "ftp://exports/churn",
        "memory://exports/churn",
    ):
        with pytest.raises(MlqError) as caught:
            allow(url, prefixes)
        assert caught.value.code == "forbidden_source", url
    for url in (
        "churn.csv",
        "https://ann:pass@example.org/",
        "s3://exports/churn/../x",
        "s3://exports/churn/1?endpoint_url=http://10.0.0.1",
        "http://a:b/",
    ):
        with pytest.raises(MlqError) as caught:
            allow(url, prefixes)
        assert caught.value.code == "invalid", url


def test_options_of_s3_are_part_of_its_address() -> None:
    url = "s3://b/f?endpoint_url=http://minio:9000&addressing_style=path&region=eu"
    assert split_options(url) == (
        "s3://b/f",
        {
            "endpoint_url": "http://minio:9000",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
            "client_kwargs": {"region_name": "eu"},
        },
    )
    with pytest.raises(SettingsError, match="endpont"):
        split_options("s3://b/f?endpont=x")


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}"
    return Store.open(url, cache=tmp_path / "cache")


def test_a_file_without_a_copy_is_read_where_it_lies(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "churn.csv"
    file.write_bytes(b"a,b\n1,2\n")
    found = read_source(store, Source(file.as_uri()), copy=False, max_bytes=100)
    assert found.digest == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (found.type, found.file_name, found.size_bytes) == ("uri_file", "churn.csv", 8)
    assert not store.exists(found.digest)
    assert store.size(found.digest) == 8
    path = store.fetch(found.digest, kind="blob", name="given.csv")
    assert (path.name, path.resolve()) == ("given.csv", file)
    with store.read(found.digest) as stream:
        assert stream.read() == b"a,b\n1,2\n"

    modified = file.stat().st_mtime_ns
    file.write_bytes(b"a,b\n9,9\n")
    os.utime(file, ns=(modified + 1, modified + 1))
    for look in (lambda: store.fetch(found.digest, kind="blob"), lambda: store.read(found.digest)):
        with pytest.raises(StepError) as caught:
            look()
        assert caught.value.code == "data_changed"

    # whoever uploads the same bytes mends it
    store.put_stream([b"a,b\n1,2\n"])
    assert store.fetch(found.digest, kind="blob").read_bytes() == b"a,b\n1,2\n"
    assert file.read_bytes() == b"a,b\n9,9\n"


def test_a_folder_without_a_copy(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"22")
    found = read_source(store, Source(folder.as_uri()), copy=False, max_bytes=100)
    assert (found.type, found.size_bytes) == ("uri_folder", 3)
    for _ in range(2):
        path = store.fetch(found.digest, kind="tree")
        assert (path / "deep" / "a").read_bytes() == b"1"
    (folder / "b").write_bytes(b"333")
    with pytest.raises(StepError, match="changed since"):
        store.fetch(found.digest, kind="tree")


def test_a_copy_does_not_need_its_source_any_more(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "churn.csv"
    file.write_bytes(b"a\n1\n")
    found = read_source(store, Source(file.as_uri()), copy=True, max_bytes=100)
    file.unlink()
    assert store.fetch(found.digest, kind="blob").read_bytes() == b"a\n1\n"
    with pytest.raises(MlqError) as caught:
        read_source(store, Source(file.as_uri()), copy=True, max_bytes=100)
    assert caught.value.code == "source_missing"


def test_an_output_of_the_same_bytes_does_not_lean_on_a_link(store: Store, tmp_path: Path) -> None:
    file, output = tmp_path / "in", tmp_path / "out"
    for one in (file, output):
        one.write_bytes(b"same")
    read_source(store, Source(file.as_uri()), copy=False, max_bytes=100)
    blob = store.put_file(output)
    file.unlink()
    assert store.fetch(blob.digest, kind="blob").read_bytes() == b"same"


def test_a_link_is_kept_as_it_was_made() -> None:
    link = Link(Source("s3://b/f?anon=true", ("inner",)), 3, 7)
    assert Link.load(link.dump()) == link
    assert link.source.shown == "s3://b/f"
