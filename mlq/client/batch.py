"""Batch endpoints: published pipelines and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlq.client.documents import Job
from mlq.client.paths import locate
from mlq.client.registry import check_name
from mlq.client.session import Session

Document = dict[str, Any]


class BatchEndpoints:
    """`/v1/batch-endpoints`: what is published, and its jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, document: Mapping[str, Any]) -> Document:
        """Make an endpoint, or change it. document: of a batch endpoint file."""
        path = locate("/v1/batch-endpoints/{}", check_name(str(document.get("name", ""))))
        return cast(Document, self._session.json("PUT", path, json=dict(document)))

    def list(self, *, limit: int | None = 50) -> Sequence[Document]:
        """All batch endpoints by name."""
        return [*self._session.pages("/v1/batch-endpoints", limit=limit)]

    def get(self, name: str) -> Document:
        """One endpoint with its deployments."""
        return cast(Document, self._session.json("GET", locate("/v1/batch-endpoints/{}", name)))

    def delete(self, name: str) -> None:
        """Remove an endpoint; the jobs stay."""
        self._session.request("DELETE", locate("/v1/batch-endpoints/{}", name))

    def put_deployment(
        self, endpoint: str, document: Mapping[str, Any], *, set_default: bool = False
    ) -> Document:
        """Publish a deployment; a change is its next version."""
        name = check_name(str(document.get("name", "")))
        path = locate("/v1/batch-endpoints/{}/deployments/{}", endpoint, name)
        params = {"set_default": "true"} if set_default else None
        return cast(Document, self._session.json("PUT", path, params=params, json=dict(document)))

    def get_deployment(self, endpoint: str, name: str, *, version: int | None = None) -> Document:
        """A version of a deployment, the newest by default."""
        path = locate("/v1/batch-endpoints/{}/deployments/{}", endpoint, name)
        return cast(Document, self._session.json("GET", path, params={"version": version}))

    def delete_deployment(self, endpoint: str, name: str) -> None:
        """Remove a deployment with all its versions."""
        self._session.request(
            "DELETE", locate("/v1/batch-endpoints/{}/deployments/{}", endpoint, name)
        )

    def invoke(
        self,
        name: str,
        inputs: Mapping[str, Any],
        *,
        deployment: str | None = None,
        version: int | None = None,
    ) -> Job:
        """Invoke an endpoint with new inputs; answers the job."""
        body = {"inputs": dict(inputs), "deployment": deployment, "version": version}
        return cast(
            Job, self._session.json("POST", locate("/v1/batch-endpoints/{}/jobs", name), json=body)
        )

    def jobs(self, name: str, *, limit: int | None = 50) -> Sequence[Document]:
        """Jobs that were invoked through an endpoint, newest first."""
        return [*self._session.pages(locate("/v1/batch-endpoints/{}/jobs", name), limit=limit)]
