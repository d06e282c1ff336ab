"""The client's environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlq.client.paths import locate
from mlq.client.session import Session
from mlq.errors import NotFoundError
from mlq.spec import EnvironmentTemplate, parse_environment
from mlq.spec.references import BadReferenceError


class Environments:
    """`/v1/environments`: sets of Python requirements, by name and version."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Register an environment, as its file has it with its conda file written out.

        Raises SpecError; ConflictError where its version says something else.
        """
        answer = self._session.json("POST", "/v1/environments", json=dict(definition))
        return cast("dict[str, Any]", answer)

    def list(self, *, limit: int | None = None) -> list[dict[str, Any]]:
        """All environments, each with its latest version."""
        return list(self._session.pages("/v1/environments", limit=limit))

    def versions(self, name: str, *, limit: int | None = None) -> Sequence[dict[str, Any]]:
        """The versions of an environment, latest first."""
        return list(self._session.pages(locate("/v1/environments/{}/versions", name), limit=limit))

    def get(self, name: str, *, version: str = "latest") -> dict[str, Any]:
        """One version with its definition."""
        answer = self._session.json(
            "GET", locate("/v1/environments/{}", name), params={"version": version}
        )
        return cast("dict[str, Any]", answer)

    def find(self, reference: str) -> EnvironmentTemplate | None:
        """What an `environment:` of a job file stands for, to compile it here."""
        try:
            named = parse_environment(reference)
            found = self.get(named.name, version=named.version or "latest")
        except (BadReferenceError, NotFoundError):
            return None
        return EnvironmentTemplate(f"mlq:{named.name}", found["version"], found["definition"])
