"""The client: one address, one token, and the nouns behind it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlq.client.cluster import Queues, Server, Tokens, Workers
from mlq.client.endpoints import Endpoints
from mlq.client.jobs import Jobs
from mlq.client.registry import Blobs, Components, Data, Models
from mlq.client.session import Session
from mlq.client.sweeps import Sweeps

if TYPE_CHECKING:
    import httpx


class Client:
    """A client of one API.

    url: its address, without `/v1`. token: sent as bearer token. transport: for tests.
    Every method raises an MlqError with a code and, where there is one, a hint.
    """

    def __init__(
        self, url: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._session = Session(url, token, transport=transport)
        self.url = self._session.url
        self.jobs = Jobs(self._session)
        self.sweeps = Sweeps(self._session)
        self.blobs = Blobs(self._session)
        self.data = Data(self._session)
        self.components = Components(self._session)
        self.models = Models(self._session)
        self.endpoints = Endpoints(self._session)
        self.workers = Workers(self._session)
        self.queues = Queues(self._session)
        self.tokens = Tokens(self._session)
        self.server = Server(self._session)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
