"""Approvals: steps that wait for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from mlq.client.documents import Job
from mlq.client.paths import locate
from mlq.client.session import Session


class Approvals:
    """`/v1/approvals`: what waits, and what is decided. ref: an approval, or the job it is in."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = 50) -> Sequence[dict[str, Any]]:
        """What waits for somebody, the oldest first."""
        return [*self._session.pages("/v1/approvals", limit=limit)]

    def get(self, ref: str) -> dict[str, Any]:
        """What is to be decided, with the numbers."""
        return cast("dict[str, Any]", self._session.json("GET", locate("/v1/approvals/{}", ref)))

    def approve(self, ref: str, *, comment: str = "") -> Job:
        """Let the pipeline go on."""
        return self._decide(ref, "approve", comment)

    def reject(self, ref: str, *, comment: str = "") -> Job:
        """Let the pipeline end as rejected."""
        return self._decide(ref, "reject", comment)

    def _decide(self, ref: str, act: str, comment: str) -> Job:
        path = locate("/v1/approvals/{}/{}", ref, act)
        return cast(Job, self._session.json("POST", path, json={"comment": comment}))
