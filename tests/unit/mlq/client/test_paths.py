"""Names in addresses: one segment each, or no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mlq.client import Client
from mlq.client.paths import locate
from mlq.errors import NotFoundError


def test_names_are_escaped() -> None:
    assert locate("/v1/data/{}/versions/{}", "é ?#%", 3) == "/v1/data/%C3%A9%20%3F%23%25/versions/3"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "é/..", "a\\b", "a\nb", "\udc80"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(NotFoundError, match="nothing named"):
        locate("/v1/data/{}", name)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.data.get("../x"),
        lambda client: client.components.get("é/.."),
        lambda client: client.endpoints.delete(".."),
        lambda client: client.endpoints.set_traffic("a/b", {"x": 100}),
        lambda client: client.models.version("m", "../../n"),
        lambda client: client.jobs.cancel("a/b"),
        lambda client: client.webhooks.delete(""),
    ],
)
def test_no_request_is_sent(ask: Callable[[Client], Any]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    with (
        Client("http://mlq.test", "t", transport=httpx.MockTransport(fail)) as client,
        pytest.raises(NotFoundError),
    ):
        ask(client)
