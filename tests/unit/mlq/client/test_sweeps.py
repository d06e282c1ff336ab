"""Asking about sweeps, and steering them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from mlq.client.sweeps import Sweeps
from tests.unit.mlq.client.test_session import Clock, Server, connect


def sweeps(*answers: httpx.Response) -> tuple[Sweeps, Server]:
    server = Server(*answers)
    return Sweeps(connect(server, Clock())), server


def test_trials_come_page_after_page_in_the_order_asked_for() -> None:
    client, server = sweeps(
        httpx.Response(200, json={"items": [{"number": 2}], "next_cursor": "2:0.5"}),
        httpx.Response(200, json={"items": [{"number": 0}], "next_cursor": None}),
    )
    found = client.trials("tune", sort="-value", state="succeeded", limit=None)
    assert [trial["number"] for trial in found] == [2, 0]
    assert [dict(request.url.params) for request in server.requests] == [
        {"sort": "-value", "state": "succeeded", "limit": "200"},
        {"sort": "-value", "state": "succeeded", "limit": "200", "cursor": "2:0.5"},
    ]


def test_a_limit_that_is_taken_away_is_sent_as_null() -> None:
    client, server = sweeps(httpx.Response(200, json={"id": "x"}))
    client.set_limits("tune", max_total_trials=9, timeout=None)
    (request,) = server.requests
    assert (request.method, request.url.path) == ("PATCH", "/v1/jobs/tune/limits")
    assert json.loads(request.content) == {"max_total_trials": 9, "timeout": None}


def test_added_points_have_numbers() -> None:
    client, server = sweeps(httpx.Response(201, json={"trials": [4]}))
    assert client.add_trials("tune", [{"lr": 0.1}]) == [4]
    assert json.loads(server.requests[0].content) == {"points": [{"lr": 0.1}]}


def test_an_export_is_saved_whole(tmp_path: Path) -> None:
    client, server = sweeps(httpx.Response(200, content=b"number\n"))
    assert client.export("tune", to=tmp_path / "a.csv", form="csv").read_bytes() == b"number\n"
    assert server.requests[0].url.params["format"] == "csv"
