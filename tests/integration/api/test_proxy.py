"""What is passed on to other processes, and what is kept from them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from mlq.settings import Settings
from tests.integration.api.conftest import Api


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = {"path": self.path, "headers": headers, "body": sent.decode()}
        body = json.dumps(asked).encode()
        self.send_response(207)
        self.send_header("content-length", str(len(body)))
        self.send_header("set-cookie", "upstream=1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the kind of database."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """With an echo behind both addresses."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=upstream.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{upstream.server_port}"
    yield Settings(
        **{
            **settings.model_dump(),
            "serve_url": url,
            "flower_url": url,
            "flower_auth": "flower:secret",
        }
    )
    upstream.shutdown()
    thread.join()
    upstream.server_close()


def test_scores_are_passed_on_with_the_callers_token(api: Api) -> None:
    client = api.as_role("submitter")
    answer = client.post(
        "/endpoints/a%20b/score?x=1", json={"rows": []}, headers={"mlq-deployment": "main"}
    )
    assert answer.status_code == 207
    assert "set-cookie" not in answer.headers
    asked = answer.json()
    assert (asked["path"], json.loads(asked["body"])) == (
        "/endpoints/a%20b/score?x=1",
        {"rows": []},
    )
    assert asked["headers"]["authorization"] == client.headers["authorization"]
    assert asked["headers"]["mlq-deployment"] == "main"
    assert client.get("/v2/models/churn/ready").json()["path"] == "/v2/models/churn/ready"
    assert api.as_role("viewer").post("/v2/models/churn/infer", json={}).status_code == 207


def test_flower_never_sees_our_tokens_and_only_reads(api: Api) -> None:
    client = api.as_role("viewer")
    asked = client.get("/flower/tasks?limit=5").json()
    assert asked["path"] == "/flower/tasks?limit=5"
    expected = "Basic " + base64.b64encode(b"flower:secret").decode()
    assert asked["headers"]["authorization"] == expected
    assert "cookie" not in asked["headers"]
    assert client.get("/flower").headers["location"] == "/flower/"
    admin = api.as_role("admin")
    assert admin.post("/flower/api/task/revoke/x").status_code == 405
    assert httpx.get(f"{api.url}/flower/").status_code == 401
