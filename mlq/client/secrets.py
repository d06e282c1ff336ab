"""Secrets: what steps are given as environment variables, and nobody is told."""

from __future__ import annotations

from typing import cast

from mlq.client.documents import Secret
from mlq.client.paths import locate
from mlq.client.session import Session


class Secrets:
    """`/v1/secrets`: of the session's project."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set(self, name: str, value: str) -> None:
        """Keep a secret, in place of an earlier one. value: 4 to 32,768 characters."""
        self._session.request("PUT", locate("/v1/secrets/{}", name), json={"value": value})

    def list(self) -> list[Secret]:
        """Names, and who set them; values are never answered."""
        return cast("list[Secret]", self._session.json("GET", "/v1/secrets")["items"])

    def delete(self, name: str) -> None:
        """Forget a secret; steps that name it fail from now on."""
        self._session.request("DELETE", locate("/v1/secrets/{}", name))
