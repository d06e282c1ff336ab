"""Versions of data and models that are registered from files: numbers, tags, types."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from mlq.artifacts.trees import Entry, write_manifest


def put_folder(client: httpx.Client, *names: str, content: bytes = b"x\n") -> str:
    """Store a folder of these files, all with the same content; its digest."""
    digest = hashlib.sha256(content).hexdigest()
    assert client.put(f"/v1/blobs/{digest}", content=content).status_code == 201
    listing = write_manifest(Entry(name, digest, len(content)) for name in sorted(names))
    tree = hashlib.sha256(listing).hexdigest()
    assert client.put(f"/v1/trees/{tree}", content=listing).status_code == 201
    return tree


def add(client: httpx.Client, content: bytes, **fields: Any) -> httpx.Response:
    digest = hashlib.sha256(content).hexdigest()
    assert client.put(f"/v1/blobs/{digest}", content=content).status_code == 201
    body = {"digest": digest, "file_name": "a.csv", **fields}
    return client.post("/v1/data/numbered/versions", json=body)


def test_numbers_of_data(client: httpx.Client) -> None:
    made = add(client, b"one\n", version=7, tags={"team": "fruit"})
    assert (made.status_code, made.json()["id"]) == (201, "mlq:numbered:7")
    assert made.json()["tags"] == {"team": "fruit"}
    assert add(client, b"one\n", version=7).status_code == 200
    assert add(client, b"one\n", version=8).status_code == 409
    assert add(client, b"two\n", version=7).status_code == 409
    assert add(client, b"two\n").json()["version"] == 8
    assert add(client, b"three\n", version=3).json()["version"] == 3
    assert client.get("/v1/data/numbered").json()["latest_version"] == 8


def test_models_from_folders(client: httpx.Client) -> None:
    first = put_folder(client, "MLmodel", "weights.bin")
    body = {"digest": first, "tags": {"team": "fruit"}, "version": 1}
    made = client.post("/v1/models/sent/versions", json=body)
    assert (made.status_code, made.json()["uri"]) == (201, "models:/sent/1")
    assert made.json()["tags"] == {"team": "fruit"}
    assert client.post("/v1/models/sent/versions", json=body).status_code == 200
    other = put_folder(client, "MLmodel", content=b"y\n")
    changed = client.post("/v1/models/sent/versions", json={"digest": other, "version": 1})
    assert changed.status_code == 409
    assert "the next is 2" in changed.text
    second = client.post("/v1/models/sent/versions", json={"digest": other})
    assert second.json()["version"] == 2
    job = {
        "command": "ls ${{inputs.model}}",
        "inputs": {"model": {"type": "mlflow_model", "path": "azureml:sent:1"}},
    }
    assert client.post("/v1/jobs", json=job).status_code == 201


@pytest.mark.parametrize(
    ("kind", "status"), [("mlflow_model", 422), ("custom_model", 201), ("triton_model", 201)]
)
def test_only_mlflow_models_have_an_mlmodel(client: httpx.Client, kind: str, status: int) -> None:
    tree = put_folder(client, f"{kind}.bin")
    answer = client.post(f"/v1/models/of_{kind}/versions", json={"digest": tree, "type": kind})
    assert answer.status_code == status, answer.text


def test_what_was_not_stored(client: httpx.Client) -> None:
    answer = client.post("/v1/models/none/versions", json={"digest": "ab" * 32})
    assert answer.status_code == 404
    assert client.get(f"/v1/trees/{'ab' * 32}").status_code == 404


def test_a_folder_comes_back(client: httpx.Client) -> None:
    tree = put_folder(client, "a.txt", content=b"folder\n")
    answer = client.get(f"/v1/trees/{tree}")
    assert answer.status_code == 200
    assert b"a.txt" in answer.content
    assert b"folder\n" in answer.content
