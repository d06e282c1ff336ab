"""Data by address and by content, with a web server and an S3 server at the other end."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.artifacts import Store
from mlq.cli import main
from mlq.settings import Settings
from tests.integration.api.conftest import Api
from tests.integration.s3 import S3, s3

__all__ = ["s3"]

ROWS = b"age,plan\n31,gold\n40,basic\n22,basic\n"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Where bytes come from is the same on each kind of database."""
    return sqlite_url


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server on loopback, with `churn.csv` and a redirect to it."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "churn.csv").write_bytes(ROWS)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("location", "/churn.csv?signature=x")
                self.end_headers()
            elif self.path == "/away":
                self.send_response(302)
                self.send_header("location", "http://localhost:1/")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(settings: Settings, web: str, s3: S3, tmp_path: Path) -> Settings:
    """Settings that allow all three."""
    shared = tmp_path / "shared"
    shared.mkdir()
    urls = [f"{web}/", f"s3://lake/data/?{s3.options}", shared.as_uri()]
    return settings.model_copy(update={"data_urls": urls})


def bring(client: httpx.Client, url: str, name: str = "churn", **body: Any) -> httpx.Response:
    return client.post(f"/v1/data/{name}/import", json={"url": url, **body})


def test_the_web_a_shared_disk_and_s3_give_the_same_version(
    client: httpx.Client, api: Api, web: str, s3: S3, tmp_path: Path
) -> None:
    made = bring(client, f"{web}/moved")
    assert made.status_code == 201, made.text
    version = made.json()
    assert version["digest"] == hashlib.sha256(ROWS).hexdigest()
    assert (version["id"], version["source"]) == ("mlq:churn:1", f"{web}/moved")
    (tmp_path / "shared" / "churn.csv").write_bytes(ROWS)
    s3.files.pipe("lake/data/churn.csv", ROWS)
    for url in ((tmp_path / "shared" / "churn.csv").as_uri(), "s3://lake/data/churn.csv"):
        again = bring(client, url)
        assert (again.status_code, again.json()["id"]) == (200, "mlq:churn:1"), again.text
    assert api.store.exists(version["digest"])


def test_what_is_not_allowed_is_not_read(client: httpx.Client, web: str, tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(ROWS)
    for url, code in {
        (tmp_path / "private").as_uri(): "forbidden_source",
        "s3://lake/other/churn.csv": "forbidden_source",
        "http://127.0.0.1:1/churn.csv": "inner_address",
        f"{web}/away": "inner_address",
        f"{web}/nothing.csv": "source_missing",
        "s3://lake/data/nothing.csv": "source_missing",
        "churn.csv": "invalid",
    }.items():
        refused = bring(client, url)
        assert (refused.status_code, refused.json()["code"]) == (422, code), url
    assert client.get("/v1/data").json()["items"] == []


def test_a_prefix_of_s3_without_a_copy(client: httpx.Client, api: Api, s3: S3) -> None:
    for name, content in {"a.csv": ROWS, "deep/b.csv": b"age,plan\n50,gold\n"}.items():
        s3.files.pipe(f"lake/data/churn/{name}", content)
    made = bring(client, "s3://lake/data/churn", copy=False).json()
    assert (made["type"], made["size_bytes"]) == ("uri_folder", len(ROWS) + 17)
    assert not api.store.exists(hashlib.sha256(ROWS).hexdigest())
    profile = client.get("/v1/data/churn/versions/1/profile").json()
    assert (profile["rows"], profile["files"]) == (4, 2)
    folder = api.store.fetch(made["digest"], kind="tree")
    assert (folder / "a.csv").read_bytes() == ROWS


def test_the_command_line_shows_a_table(
    api: Api,
    client: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, content in {"1.csv": ROWS, "2.csv": ROWS + b"61,gold\n"}.items():
        (tmp_path / "shared" / name).write_bytes(content)
    monkeypatch.setenv("MLQ_API_URL", api.url)
    monkeypatch.setenv("MLQ_TOKEN", client.headers["authorization"].partition(" ")[2])

    def run(*arguments: str) -> str:
        assert main(["data", *arguments]) == 0
        return capsys.readouterr().out

    for name in ("1.csv", "2.csv"):
        url = (tmp_path / "shared" / name).as_uri()
        run("create", "churn", "--url", url, "--no-copy")
    assert [line.split() for line in run("preview", "churn:1").splitlines()] == [
        ["age", "plan"],
        ["31", "gold"],
        ["40", "basic"],
        ["22", "basic"],
    ]
    assert json.loads(run("preview", "churn", "-r", "2", "-o", "json"))["is_whole"] is False
    assert "basic (2), gold (1)" in run("profile", "churn:1")
    said = run("diff", "churn", "--base", "1")
    assert "mlq:churn:1 → mlq:churn:2: 3 → 4 rows, 1 added, 0 removed" in said
    found = json.loads(run("diff", "churn", "--base", "1", "-o", "json"))
    age = found["columns"][0]
    assert (age["name"], age["mean"]) == ("age", {"before": 31.0, "after": 38.5})
    assert main(["data", "create", "churn"]) == 2


def test_the_artifact_store_on_s3(s3: S3, tmp_path: Path) -> None:
    url = f"s3://lake/artifacts?{s3.options}"
    store = Store.open(url, cache=tmp_path / "one")
    store.check()
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_bytes(b"w" * 3_000_000)
    tree = store.put_tree(tmp_path / "model")
    elsewhere = Store.open(url, cache=tmp_path / "two")
    assert not elsewhere.is_local
    path = elsewhere.fetch(tree.digest, kind="tree")
    assert (path / "deep" / "weights").stat().st_size == 3_000_000
    store.delete(tree.digest)
    assert not elsewhere.exists(tree.digest)
