"""Webhooks: who is told of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from mlq.client.paths import locate
from mlq.client.registry import check_name
from mlq.client.session import Session

Document = dict[str, Any]


class Webhooks:
    """`/v1/webhooks`, for administrators."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, name: str, *, form: str, target: str, kinds: Sequence[str]) -> Document:
        """Make a webhook, or change it. The answer that makes it has its `secret`."""
        body = {"form": form, "target": target, "kinds": [*kinds]}
        path = locate("/v1/webhooks/{}", check_name(name))
        return cast(Document, self._session.json("PUT", path, json=body))

    def list(self) -> Sequence[Document]:
        """All webhooks by name."""
        return [*self._session.json("GET", "/v1/webhooks")["items"]]

    def delete(self, name: str) -> None:
        """Remove a webhook with its log."""
        self._session.request("DELETE", locate("/v1/webhooks/{}", name))

    def test(self, name: str) -> Document:
        """Send a test message."""
        return cast(Document, self._session.json("POST", locate("/v1/webhooks/{}/test", name)))

    def deliveries(self, name: str, *, limit: int | None = 50) -> Sequence[Document]:
        """What was sent, newest first."""
        return [*self._session.pages(locate("/v1/webhooks/{}/deliveries", name), limit=limit)]
