"""Bytes, datasets, models and endpoints over HTTP."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from pathlib import Path

import httpx
import pytest

from mlq.service import models
from tests.integration.api.conftest import Api

ROWS = b"age,churned\n31,no\n"


def test_a_file_becomes_a_version_and_the_same_bytes_stay_it(client: httpx.Client) -> None:
    path = "/v1/data/churn/versions"
    made = client.post(path, params={"filename": "churn.csv"}, content=ROWS)
    assert made.status_code == 201
    version = made.json()
    assert (version["id"], version["file_name"]) == ("mlq:churn:1", "churn.csv")
    assert version["digest"] == hashlib.sha256(ROWS).hexdigest()
    assert version["size_bytes"] == len(ROWS)
    again = client.post(path, params={"filename": "churn.csv"}, content=ROWS)
    assert (again.status_code, again.json()) == (200, version)
    assert client.post(path, content=ROWS + b"40,yes\n").json()["version"] == 2

    assert client.get("/v1/data/churn").json()["latest_version"] == 2
    page = client.get(path, params={"limit": 1}).json()
    assert [row["version"] for row in page["items"]] == [2]
    page = client.get(path, params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert ([row["version"] for row in page["items"]], page["next_cursor"]) == ([1], None)
    content = client.get(f"{path}/1/content")
    assert content.content == ROWS
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"].startswith("attachment")
    assert client.get(f"{path}/latest").json()["version"] == 2
    answer = client.get("/v1/data/chrn")
    assert (answer.status_code, answer.json()["hint"]) == (404, "Did you mean 'churn'?")


def test_a_json_file_is_a_file_when_it_has_a_name(client: httpx.Client) -> None:
    path = "/v1/data/rows/versions"
    made = client.post(path, params={"filename": "rows.json"}, json=[{"a": 1}])
    assert (made.status_code, made.json()["file_name"]) == (201, "rows.json")


def test_bytes_first_and_the_name_later(client: httpx.Client) -> None:
    digest = hashlib.sha256(ROWS).hexdigest()
    path = f"/v1/blobs/{digest}"
    assert client.head(path).status_code == 404
    body = {"digest": digest, "type": "uri_file", "file_name": "churn.csv"}
    missing = client.post("/v1/data/churn/versions", json=body)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert client.put(path, content=ROWS).json() == {"digest": digest, "size_bytes": len(ROWS)}
    assert client.head(path).headers["content-length"] == str(len(ROWS))
    assert client.get(path).content == ROWS
    assert client.get(path, headers={"range": "bytes=0-2"}).content == ROWS[:3]
    assert client.post("/v1/data/churn/versions", json=body).status_code == 201
    wrong = client.put(f"/v1/blobs/{'0' * 64}", content=ROWS)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert client.put("/v1/blobs/xyz", content=ROWS).status_code == 422


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/data/churn/versions"])
def test_ten_declared_gigabytes_are_refused_before_they_are_read(api: Api, path: str) -> None:
    token = api.as_role("admin").headers["authorization"]
    address = api.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        connection.sendall(f"{head}Content-Length: 10000000000\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):  # until the server closes
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"too_large" in answer


def test_an_undeclared_body_is_cut_at_the_limit(api: Api, client: httpx.Client) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b"x" * 2**20

    try:
        answer = client.post("/v1/data/churn/versions", content=endless())  # type: ignore[arg-type]
    except httpx.WriteError:
        pass  # the server has closed the connection while we wrote
    else:
        assert answer.status_code == 413
    assert client.get("/v1/data").json()["items"] == []
    assert not list((api.settings.home / "artifacts").glob("tmp/*"))


def _register(api: Api, folder: Path, *, count: int) -> None:
    folder.mkdir()
    with api.database.write() as conn:
        for number in range(count):
            (folder / "MLmodel").write_text(f"version: {number}\n")
            tree = api.store.put_tree(folder)
            models.register(
                conn,
                name="churn",
                digest=tree.digest,
                size_bytes=tree.size_bytes,
                metrics={"roc_auc": 0.9},
                actor="test",
            )


def test_promote_and_roll_back(api: Api, client: httpx.Client, tmp_path: Path) -> None:
    _register(api, tmp_path / "model", count=3)
    path = "/v1/models/churn"
    for version in (1, 3, 2):
        moved = client.post(f"{path}/aliases", json={"alias": "production", "version": version})
        assert moved.json()["version"] == version
    back = client.post(f"{path}/rollback", json={"reason": "worse"}).json()
    assert (back["version"], back["previous"]) == (3, 2)
    assert client.post(f"{path}/rollback", json={}).json()["version"] == 1
    answer = client.post(f"{path}/rollback", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_before")
    moves = client.get(f"{path}/history", params={"alias": "production"}).json()["items"]
    acts = [move["act"] for move in moves]
    assert acts == ["rollback", "rollback", "promote", "promote", "promote"]
    assert moves[1]["reason"] == "worse"
    assert client.get(path).json()["aliases"] == {"production": 1}
    assert client.get(f"{path}/versions/production").json()["metrics"] == {"roc_auc": 0.9}
    package = client.get(f"{path}/versions/2/package").content
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        assert tar.getnames() == ["MLmodel"]
        assert tar.extractfile("MLmodel").read() == b"version: 1\n"  # type: ignore[union-attr]
    assert client.post(f"{path}/aliases", json={"alias": "x"}).status_code == 422
    assert client.delete(f"{path}/aliases/production").status_code == 200


def test_endpoints(api: Api, client: httpx.Client, tmp_path: Path) -> None:
    _register(api, tmp_path / "model", count=2)
    client.post("/v1/models/churn/aliases", json={"alias": "production", "version": 2})
    assert client.post("/v1/endpoints", json={"name": "churn"}).status_code == 201
    assert client.post("/v1/endpoints", json={"name": "churn"}).status_code == 409
    path = "/v1/endpoints/churn"
    body = {"model": "models:/churn@production"}
    made = client.put(f"{path}/deployments/main", json=body).json()
    assert (made["alias"], made["version"]) == ("production", 2)
    client.put(f"{path}/deployments/other", json={"model": "models:/churn/1"})
    shown = client.get(path).json()
    assert shown["traffic"] == {"main": 100, "other": 0}
    assert shown["scoring_uri"] == f"{api.url}/endpoints/churn/score"
    split = {"main": 90, "other": 10}
    assert client.patch(path, json={"traffic": split}).json()["traffic"] == split
    assert client.patch(path, json={"traffic": {"main": 50}}).status_code == 422
    assert client.delete(f"{path}/deployments/other").status_code == 409
    answer = client.post("/endpoints/churn/score", json={"rows": []})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_serving")
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_components(client: httpx.Client) -> None:
    items = client.get("/v1/components").json()["items"]
    assert "mlq:train" in {item["name"] for item in items}
    assert client.get("/v1/components/train").json()["open_inputs"] is True
    answer = client.get("/v1/components/mlq:trian")
    assert answer.json()["hint"] == "Did you mean 'mlq:train'?"
