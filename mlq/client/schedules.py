"""Schedules: jobs that start by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlq.client.documents import Git
from mlq.client.paths import locate
from mlq.client.registry import check_name
from mlq.client.session import Session

Document = dict[str, Any]


class Schedules:
    """`/v1/schedules`: stored jobs and their triggers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(
        self, document: Mapping[str, Any], *, dry_run: bool = False, git: Git | None = None
    ) -> Document:
        """Make a schedule, or change the one of that name. document: of a schedule file.

        The answer that makes a webhook has its `secret`. dry_run: check it only; the answer has
        the `next_times` that it would be due. git: what its job's code is sent from; a `diff` has
        been uploaded.
        """
        name = check_name(str(document.get("name", "")))
        query = "?dry_run=true" if dry_run else ""
        return cast(
            Document,
            self._session.json(
                "PUT",
                locate("/v1/schedules/{}", name) + query,
                json=dict(document),
                headers={"Mlq-Git": json.dumps(git)} if git is not None else None,
            ),
        )

    def list(self, *, limit: int | None = 50) -> Sequence[Document]:
        """All schedules by name."""
        return [*self._session.pages("/v1/schedules", limit=limit)]

    def get(self, name: str) -> Document:
        """One schedule."""
        return cast(Document, self._session.json("GET", locate("/v1/schedules/{}", name)))

    def delete(self, name: str) -> None:
        """Remove a schedule; its jobs stay."""
        self._session.request("DELETE", locate("/v1/schedules/{}", name))

    def enable(self, name: str) -> Document:
        """Let it fire from now on."""
        return cast(Document, self._session.json("POST", locate("/v1/schedules/{}/enable", name)))

    def disable(self, name: str) -> Document:
        """Let it fire no more."""
        return cast(Document, self._session.json("POST", locate("/v1/schedules/{}/disable", name)))

    def trigger(self, name: str, *, context: Mapping[str, str] | None = None) -> Document:
        """Fire it now. context: what its trigger would have known."""
        body = {"context": dict(context or {})}
        return cast(
            Document,
            self._session.json("POST", locate("/v1/schedules/{}/trigger", name), json=body),
        )

    def firings(self, name: str, *, limit: int | None = 50) -> Sequence[Document]:
        """What it did, newest first."""
        return [*self._session.pages(locate("/v1/schedules/{}/firings", name), limit=limit)]
