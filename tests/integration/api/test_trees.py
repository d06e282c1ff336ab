"""Folders on their way to a real server: what travels, and what is refused there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.cli.job_file import prepare
from mlq.client import Client
from mlq.client.folders import upload_folder
from mlq.client.session import Session
from mlq.errors import SpecError
from mlq.settings import Settings
from tests.integration.api.conftest import Api


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What travels is the same for each kind of database."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the limit on documents that a server has unless told otherwise."""
    return settings.model_copy(update={"max_body_bytes": 8 << 20})


class Counting(httpx.HTTPTransport):
    """Counts requests, and the bytes of their bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.sent_bytes = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path.rpartition('/')[0]}")
        self.sent_bytes += len(request.read())
        return super().handle_request(request)

    def take(self) -> tuple[list[str], int]:
        """What was counted since the last time."""
        found = self.requests, self.sent_bytes
        self.requests, self.sent_bytes = [], 0
        return found


@pytest.fixture
def wire() -> Counting:
    return Counting()


@pytest.fixture
def mlq(api: Api, client: httpx.Client, wire: Counting) -> Iterator[Client]:
    token = client.headers["authorization"].partition(" ")[2]
    with Client(api.url, token, transport=wire) as made:
        yield made


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_of_5000_files_the_second_submit_sends_the_one_that_changed(
    api: Api, mlq: Client, wire: Counting, tmp_path: Path
) -> None:
    src = tmp_path / "src"
    for number in range(5000):
        file = src / f"pkg{number // 100}" / f"module{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"NUMBER = {number}\n")
    (tmp_path / "job.yml").write_text("type: command\ncommand: python train.py\ncode: ./src\n")
    said: list[str] = []
    prepare(tmp_path / "job.yml", client=mlq, say=said.append)
    requests, _ = wire.take()
    assert requests == ["HEAD /v1/trees", "POST /v1/blobs", *["PUT /v1"] * 10, "PUT /v1/trees"]
    assert said.pop() == "src: 5,000 files, 67.3 KiB, 5,000 sent"
    changed = b"NUMBER = 'changed'\n"
    (src / "pkg7" / "module777.py").write_bytes(changed)
    text, media_type, *_ = prepare(tmp_path / "job.yml", client=mlq, say=said.append)
    requests, sent_bytes = wire.take()
    assert requests == [
        "HEAD /v1/trees",
        "POST /v1/blobs",  # which of them are missing
        "PUT /v1/blobs",
        "PUT /v1/trees",
    ]
    manifest_bytes = api.store.size(json.loads(text)["code"].removeprefix("artifact:sha256:"))
    assert sent_bytes == 5000 * 67 + 13 + len(changed) + manifest_bytes
    assert said == ["src: 5,000 files, 67.3 KiB, 1 sent"]
    mlq.jobs.create(text, media_type=media_type)
    wire.take()
    prepare(tmp_path / "job.yml", client=mlq, say=said.append)
    assert wire.take() == (["HEAD /v1/trees"], 0)
    assert said[1] == "src: 5,000 files, 67.3 KiB, on the server already"


def test_a_folder_of_data_goes_the_same_way(
    api: Api, mlq: Client, wire: Counting, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for path, text in {"b.txt": "b", "a/é.txt": "a", "a/copy.txt": "b", "a-b.txt": ""}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "b.txt").chmod(0o755)
    first = mlq.data.create("photos", folder)
    assert first["digest"] == api.store.put_tree(folder).digest
    (folder / "a/é.txt").write_text("changed")
    sent: list[int] = []
    wire.take()
    assert mlq.data.create("photos", folder, progress=sent.append)["version"] == 2
    assert sum(sent) == len("changed")
    assert wire.take()[0].count("PUT /v1/blobs") == 1
    (folder / "z").symlink_to("/etc/passwd")
    session = Session(api.url, "t", transport=wire)
    with pytest.raises(SpecError, match="symbolic link"):
        upload_folder(session, folder)
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(SpecError, match="holds no files"):
        upload_folder(session, tmp_path / "empty")


def test_small_files_travel_together_and_large_ones_alone(
    api: Api, mlq: Client, wire: Counting, tmp_path: Path
) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    for number in range(1201):
        (folder / f"{number}.txt").write_text(str(number))
    (folder / "large.bin").write_bytes(b"x" * (300 << 10))
    (folder / "empty").touch()
    version = mlq.data.create("many", folder)
    assert wire.take()[0] == [
        "HEAD /v1/trees",
        "POST /v1/blobs",
        *["PUT /v1"] * 3,
        "PUT /v1/blobs",
        "PUT /v1/trees",
        "POST /v1/data/many",
    ]
    assert api.store.put_tree(folder).digest == version["digest"]


@pytest.mark.parametrize("body", [b"\0" * 7, b"\xff" * 8, b"\0" * 7 + b"\2x", b"\0" * 8 * 1001])
def test_files_that_do_not_come_as_agreed_are_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.put("/v1/blobs", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert client.put("/v1/blobs", content=b"\0" * (8 << 20) + b"x").status_code == 413


def put_tree(client: httpx.Client, entries: list[dict[str, Any]], **more: Any) -> httpx.Response:
    text = json.dumps(
        {"entries": entries, **more}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    return client.put(f"/v1/trees/{sha256(text)}", content=text)


def entry(path: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "digest": sha256(content),
        "mode": 0o644,
        "path": path,
        "size_bytes": len(content),
        **more,
    }


CODE = b"print()"


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../outside.py", CODE)],
        [entry("/etc/cron.d/x", CODE)],
        [entry("a/../../x.py", CODE)],
        [entry("a//x.py", CODE)],
        [entry("./x.py", CODE)],
        [entry("a\\..\\x.py", CODE)],
        [entry("x\x00.py", CODE)],
        [entry("x.py", CODE), entry("x.py", CODE)],
        [entry("x", CODE), entry("x/y.py", CODE)],
        [entry("x.py", CODE, mode=0o120777)],  # a symbolic link
        [entry("x.py", CODE, mode=0o4755)],
        [{**entry("x.py", CODE), "target": "/etc/passwd"}],
        [entry("x.py", CODE, size_bytes=-1)],
        [entry("x.py", CODE, size_bytes=len(CODE) + 1)],
        [],
    ],
)
def test_a_list_that_is_not_one_of_plain_files_is_refused(
    client: httpx.Client, entries: list[dict[str, Any]]
) -> None:
    client.put(f"/v1/blobs/{sha256(CODE)}", content=CODE)
    answer = put_tree(client, entries)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("invalid", "invalid_tree", "invalid_name", "invalid_digest")


def test_archives_and_files_that_are_not_there_are_refused(client: httpx.Client) -> None:
    archive = b"PK\x03\x04 and so on"
    answer = client.put(f"/v1/trees/{sha256(archive)}", content=archive)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_tree")
    answer = put_tree(client, [entry("x.py", b"never sent")])
    assert answer.status_code == 404
    assert "'x.py'" in answer.json()["detail"]
    assert client.head(f"/v1/trees/{'0' * 64}").status_code == 404


def test_a_tree_that_is_too_big_is_refused(client: httpx.Client) -> None:
    bomb = b"0" * (7 << 20)  # 80 times the same file: 7 MiB sent, 560 MiB to unpack
    client.put(f"/v1/blobs/{sha256(bomb)}", content=bomb)
    answer = put_tree(client, [entry(f"{number}.bin", bomb) for number in range(80)])
    assert answer.status_code == 201
    code = f"artifact:sha256:{answer.json()['digest']}"
    answer = client.post("/v1/jobs", json={"type": "command", "command": "true", "code": code})
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["path"] == "code"
    assert "587,202,560 bytes" in problem["message"]
    many = [entry(f"{number}", CODE) for number in range(200_001)]
    text = json.dumps({"entries": many}, separators=(",", ":")).encode()
    assert len(text) > 8 << 20  # beyond what this server takes at all
    assert client.put(f"/v1/trees/{sha256(text)}", content=text).status_code == 413


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("./src", "a folder on your machine"),
        ("azureml:mine:1", "is no code"),
        ("git+https://example.org/x", "is no code"),
        (f"artifact:sha256:{'0' * 64}", "There is no code folder 0000"),
    ],
)
def test_code_that_is_no_stored_folder_is_refused(
    client: httpx.Client, code: str, words: str
) -> None:
    step = {"type": "command", "command": "true", "code": code}
    sweep = {
        "type": "sweep",
        "trial": {"command": "true ${{search_space.x}}", "code": code},
        "search_space": {"x": {"type": "choice", "values": [1, 2]}},
        "sampling_algorithm": "grid",
        "objective": {"primary_metric": "m", "goal": "minimize"},
    }
    document = {"type": "pipeline", "jobs": {"a": step, "b": sweep}}
    answer = client.post("/v1/jobs", json=document)
    assert answer.status_code == 422
    problems = {one["path"]: one["message"] for one in answer.json()["problems"]}
    assert problems.keys() >= {"jobs.a.code"}
    assert all(words in message for message in problems.values())
    assert len(problems) == 2


def test_a_blob_is_no_code(client: httpx.Client) -> None:
    client.put(f"/v1/blobs/{sha256(CODE)}", content=CODE)
    code = f"artifact:sha256:{sha256(CODE)}"
    answer = client.post("/v1/jobs", json={"type": "command", "command": "true", "code": code})
    assert answer.status_code == 422
    assert "There is no code folder" in answer.json()["problems"][0]["message"]


def test_code_of_a_project_is_nothing_to_another(api: Api, client: httpx.Client) -> None:
    def of(project: str) -> dict[str, str]:
        client.post("/v1/projects", json={"name": project})
        return {"Mlq-Project": project}

    ours, theirs = of("ours"), of("theirs")
    digest = sha256(CODE)
    listed = json.dumps({"entries": [entry("x.py", CODE)]}, separators=(",", ":")).encode()
    tree = sha256(listed)
    assert client.put(f"/v1/blobs/{digest}", content=CODE, headers=ours).status_code == 201
    assert client.put(f"/v1/trees/{tree}", content=listed, headers=theirs).status_code == 404
    assert client.put(f"/v1/trees/{tree}", content=listed, headers=ours).status_code == 201
    asked = {"digests": [digest]}
    for headers, missing in ((ours, []), (theirs, [digest])):
        answer = client.post("/v1/blobs/missing", json=asked, headers=headers)
        assert answer.json() == {"missing": missing}
    job = {"type": "command", "command": "true", "code": f"artifact:sha256:{tree}"}
    assert client.post("/v1/jobs", json=job, headers=ours).status_code == 201
    assert client.head(f"/v1/trees/{tree}", headers=theirs).status_code == 404
    assert client.post("/v1/jobs", json=job, headers=theirs).status_code == 422
