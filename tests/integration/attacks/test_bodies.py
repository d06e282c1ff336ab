"""Bodies that are too long, too slow, too deep or of too many parts, and what others notice."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.api.conftest import Api

_SLOW = 64


def test_a_body_of_two_gigabytes_is_refused_before_it_is_read(api: Api) -> None:
    address = urlsplit(api.url)
    token = api.as_role("submitter").headers["authorization"]
    for path in ("/v1/jobs", "/v1/blobs/" + "0" * 64, "/login"):
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {2 << 30}\r\n\r\n"
            )
            connection.sendall(
                head.replace("POST", "PUT").encode() if "blobs" in path else head.encode()
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 "), path


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(api: Api) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1 << 16)
            yield b"x" * (1 << 16)

    client = api.as_role("submitter")
    for method, path in (("POST", "/v1/jobs"), ("PUT", "/v1/blobs/" + "0" * 64)):
        try:
            answer = client.request(method, path, content=endless())
        except (httpx.WriteError, httpx.ReadError):
            continue  # it hung up on us while we sent
        assert answer.status_code == 413, path
    assert [item for item in api.store.stored() if item[1] > 1 << 16] == []


def test_slow_bodies_hold_up_nobody_else(api: Api) -> None:
    address = urlsplit(api.url)
    token = api.as_role("submitter").headers["authorization"]
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    with ExitStack() as opened:
        for _ in range(_SLOW):
            connection = socket.create_connection((address.hostname, address.port))
            opened.enter_context(connection)
            connection.sendall(head.encode())
        job = {"type": "command", "command": "true", "display_name": "meanwhile"}
        assert api.as_role("submitter").post("/v1/jobs", json=job).status_code == 201
        assert httpx.get(f"{api.url}/healthz").status_code == 200


@pytest.mark.parametrize("fields", ["&" * 200_000, "a=1&" * 50_000, "token=x&" * 50_000])
def test_a_form_of_very_many_fields_is_refused(api: Api, fields: str) -> None:
    answer = httpx.post(
        f"{api.url}/login",
        content=fields,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code in (401, 413, 422)


def test_a_body_of_many_parts_is_no_document(api: Api) -> None:
    part = '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    for path in ("/v1/jobs", "/v1/endpoints"):
        answer = api.as_role("submitter").post(
            path,
            content=part * 3000 + "--b--\r\n",
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
        assert 400 <= answer.status_code < 500, path


def test_depth_and_numbers_that_json_lacks_are_refused(api: Api) -> None:
    client = api.as_role("submitter")
    deep = "[" * 100_000 + "]" * 100_000
    for content in (
        deep,
        f'{{"type": "command", "command": {deep}}}',
        '{"name": NaN}',
        "-Infinity",
    ):
        for path in ("/v1/jobs", "/v1/endpoints"):
            answer = client.post(
                path, content=content, headers={"content-type": "application/json"}
            )
            assert 400 <= answer.status_code < 500, (path, content[:40])
            json.loads(answer.text)
