"""Bytes, datasets, models and endpoints over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
from pathlib import Path

import httpx
import pytest

from mlq.db import monitoring
from mlq.db.monitoring import Sample
from mlq.service import models
from tests.integration.api.conftest import Api
from tests.packages import write_classifier, write_regressor

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


def test_a_form_or_a_compressed_body_is_no_file(client: httpx.Client) -> None:
    path = "/v1/data/churn/versions"
    form = client.post(path, files={"file": ("churn.csv", ROWS)})
    assert (form.status_code, form.json()["code"]) == (415, "unsupported_media")
    assert "--data-binary" in form.json()["hint"]
    packed = client.post(path, content=ROWS, headers={"content-encoding": "gzip"})
    assert packed.status_code == 415
    assert client.get("/v1/data/churn").status_code == 404


def test_what_a_refused_upload_leaves_is_not_there(client: httpx.Client) -> None:
    refused = client.post("/v1/data/empty/versions", params={"filename": "empty.csv"}, content=b"")
    assert refused.status_code == 422
    assert client.head(f"/v1/blobs/{hashlib.sha256(b'').hexdigest()}").status_code == 404


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
    with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
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
    assert client.post(f"{path}/rollback/undo", json={}).json()["version"] == 3
    assert client.post(f"{path}/rollback/undo", json={}).json()["code"] == "nothing_to_undo"
    again = client.post(f"{path}/rollback", json={}).json()
    assert (again["version"], again["held"], again["endpoints"]) == (1, True, [])
    answer = client.post(f"{path}/rollback", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_before")
    for changed in (True, False):
        assert client.post(f"{path}/resume", json={}).json()["changed"] is changed
    moves = client.get(f"{path}/history", params={"alias": "production"}).json()["items"]
    acts = [move["act"] for move in moves]
    assert acts == [*["rollback", "promote", "rollback", "rollback"], *["promote"] * 3]
    assert moves[3]["reason"] == "worse"
    assert client.get(path).json()["aliases"] == {"production": 1}
    assert client.get(f"{path}/versions/production").json()["metrics"] == {"roc_auc": 0.9}
    package = client.get(f"{path}/versions/2/package").content
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        assert tar.getnames() == ["MLmodel"]
        assert tar.extractfile("MLmodel").read() == b"version: 1\n"  # type: ignore[union-attr]
    assert client.post(f"{path}/aliases", json={"alias": "x"}).status_code == 422
    assert client.delete(f"{path}/aliases/production").status_code == 200


def test_a_rollback_that_callers_would_notice_needs_force(
    api: Api, client: httpx.Client, tmp_path: Path
) -> None:
    for number, write in enumerate((write_regressor, write_classifier), 1):
        write(tmp_path / str(number))
        tree = api.store.put_tree(tmp_path / str(number))
        with api.database.write() as conn:
            models.register(
                conn, name="churn", digest=tree.digest, size_bytes=tree.size_bytes, actor="test"
            )
            models.set_alias(conn, name="churn", alias="production", version=number, actor="test")
    path = "/v1/models/churn/rollback"
    refused = client.post(path, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "signature_differs")
    assert "predicts double, not string" in refused.json()["detail"]
    assert client.post(path, json={"force": True}).json()["version"] == 1


def _sample(request_id: str, deployment: str = "main") -> Sample:
    return Sample(
        request_id=request_id,
        endpoint="churn",
        deployment=deployment,
        version=2,
        is_copy=False,
        task="classification",
        count=2,
        columns={"months": [1, 60]},
        predictions=["yes", "no"],
        size_bytes=20,
    )


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
    # a limit of null is off, which is not the same as left out
    settings = {"sampling_rate": 0.5, "drift": {"psi": None, "accuracy": 0.9}}
    watched = client.put(f"{path}/deployments/main", json={**body, "settings": settings}).json()
    assert watched["settings"] == settings
    typo = {**body, "settings": {"drift": {"spi": 1}}}
    refused = client.put(f"{path}/deployments/main", json=typo)
    assert (refused.status_code, refused.json()["problems"][0]["path"]) == (
        422,
        "settings.drift.spi",
    )
    drift = client.get(f"{path}/drift").json()["items"]
    assert [(one["deployment"], one["sampling_rate"], one["at"]) for one in drift] == [
        ("main", 0.5, None),
        ("other", 0.0, None),
    ]
    told = client.post("/endpoints/churn/feedback", json={"request_id": "a", "truth": [1, None]})
    assert (told.status_code, told.json()) == (200, {"kept": 1})
    assert client.post("/endpoints/churn/feedback", json={}).json()["code"] == "invalid"
    assert client.get(f"{path}/samples").json() == {"items": [], "next_cursor": None}
    with api.database.write() as conn:
        monitoring.add_samples(conn, [_sample("a"), _sample("b"), _sample("c", "other")])
    newest = client.get(f"{path}/samples", params={"limit": 2}).json()
    assert [one["request_id"] for one in newest["items"]] == ["c", "b"]
    rest = client.get(f"{path}/samples", params={"cursor": newest["next_cursor"]}).json()
    (first,) = rest["items"]
    assert (first["request_id"], first["rows"], first["predictions"]) == ("a", 2, ["yes", "no"])
    assert (first["columns"], first["truth"]) == ({"months": [1, 60]}, [1, None])
    for asked, found in (({"deployment": "other"}, ["c"]), ({"request_id": "b"}, ["b"])):
        items = client.get(f"{path}/samples", params=asked).json()["items"]
        assert [one["request_id"] for one in items] == found
    assert client.get("/v1/endpoints/nowhere/samples").status_code == 404
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


def test_a_folder_is_registered_when_all_of_its_files_are_stored(client: httpx.Client) -> None:
    digest = hashlib.sha256(ROWS).hexdigest()

    def register(*, size: int, files: int = 1) -> httpx.Response:
        entry = {"digest": digest, "mode": 0o644, "path": "a/rows.csv", "size_bytes": size}
        manifest = json.dumps({"entries": [entry] * files}).encode()
        tree = hashlib.sha256(manifest).hexdigest()
        assert client.put(f"/v1/blobs/{tree}", content=manifest).status_code == 201
        return client.post("/v1/data/folder/versions", json={"digest": tree, "type": "uri_folder"})

    missing = register(size=len(ROWS))
    assert (missing.status_code, digest in missing.json()["hint"]) == (404, True)
    assert client.put(f"/v1/blobs/{digest}", content=ROWS).status_code == 201
    wrong = register(size=1)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    assert register(size=0, files=0).status_code == 422
    made = register(size=len(ROWS))
    assert (made.status_code, made.json()["type"], made.json()["size_bytes"]) == (
        201,
        "uri_folder",
        len(ROWS),
    )
