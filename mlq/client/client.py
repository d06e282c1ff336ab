"""The client: one address, one token, and the nouns behind it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlq.client.approvals import Approvals
from mlq.client.batch import BatchEndpoints
from mlq.client.cluster import Limits, Projects, Queues, Server, Servers, Tokens, Workers
from mlq.client.endpoints import Endpoints
from mlq.client.environments import Environments
from mlq.client.jobs import Jobs
from mlq.client.registry import Blobs, Components, Data, Models
from mlq.client.schedules import Schedules
from mlq.client.secrets import Secrets
from mlq.client.session import Session
from mlq.client.sweeps import Sweeps
from mlq.client.tracking import Tracking
from mlq.client.webhooks import Webhooks

if TYPE_CHECKING:
    import httpx


class Client:
    """A client of one API.

    url: its address, without `/v1`. token: sent as bearer token. project: to keep to,
    where the token reaches several. transport: for tests.
    Every method raises an MlqError with a code and, where there is one, a hint.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        project: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._session = Session(url, token, project=project, transport=transport)
        self.url = self._session.url
        self.jobs = Jobs(self._session)
        self.sweeps = Sweeps(self._session)
        self.blobs = Blobs(self._session)
        self.data = Data(self._session)
        self.components = Components(self._session)
        self.environments = Environments(self._session)
        self.models = Models(self._session)
        self.endpoints = Endpoints(self._session)
        self.approvals = Approvals(self._session)
        self.schedules = Schedules(self._session)
        self.secrets = Secrets(self._session)
        self.batch_endpoints = BatchEndpoints(self._session)
        self.webhooks = Webhooks(self._session)
        self.workers = Workers(self._session)
        self.servers = Servers(self._session)
        self.queues = Queues(self._session)
        self.tokens = Tokens(self._session)
        self.projects = Projects(self._session)
        self.tracking = Tracking(self._session)
        self.limits = Limits(self._session, kind="limits")
        self.quotas = Limits(self._session, kind="quotas")
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
